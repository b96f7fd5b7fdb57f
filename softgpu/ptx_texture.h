// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_texture.h: what a texture or surface handle stands for, and how texels are read and mixed.
 *
 * Images are linear in memory: rows of `pitch` bytes, slices (of a volume, layers, faces of a
 * cube) of `slice` bytes. A cube's faces follow each other in the order +x -x +y -y +z -z; with
 * layers six of them are one layer.
 *
 * Addressing and filtering are those of the CUDA Programming Guide, "Texture Fetching": a linear
 * filter takes the texels around x - 0.5 with weights in fixed point, 8 bits of fraction; a point
 * filter takes the texel at floor(x); wrap and mirror need normalized coordinates and are clamp
 * without. What it leaves open: positions are rounded, not cut, to those 8 bits; a level of detail
 * out of gradients is that of the longer one (isotropic, as PTX ISA "tex" without anisotropy).
 *
 * Units: coordinates in texels, or 1 = the whole width if normalized. Threads: pure functions.
 */
#ifndef SOFTGPU_PTX_TEXTURE_H
#define SOFTGPU_PTX_TEXTURE_H

#include <stdbool.h>
#include <stdint.h>

#define PTX_LEVELS_MAX 16

enum ptx_texel { PTX_TEXEL_UNSIGNED, PTX_TEXEL_SIGNED, PTX_TEXEL_FLOAT };
enum ptx_border { PTX_WRAP, PTX_CLAMP, PTX_MIRROR, PTX_BORDER }; /* as CUaddress_mode */

struct ptx_level {
	uint64_t addr;                 /* of the host, which is the device's */
	uint32_t width, height, depth; /* texels; depth: of a volume, or layers, or faces */
	uint64_t pitch, slice;         /* bytes */
};

struct ptx_image {
	struct ptx_level level[PTX_LEVELS_MAX];
	uint32_t n_levels;
	uint8_t channels; /* 1, 2, 4 */
	uint8_t bytes;    /* of a channel: 1, 2, 4 */
	enum ptx_texel texel;
	bool rows; /* linear memory: read by element, 0 beyond its end */
	bool cube, layered;
	/* of textures only */
	enum ptx_border border[3];
	bool linear;     /* filter; else point */
	bool mip_linear; /* between levels */
	bool normalized; /* coordinates */
	bool promoted;   /* integers are read as fractions of their largest value */
	bool srgb;       /* of unsigned bytes that are promoted: the first three channels */
	bool seamless;   /* cubes: the filter reaches over edges */
	float bias, min_lod, max_lod;
	float colour[4]; /* beyond the edges, with PTX_BORDER */
};

enum ptx_geometry { PTX_1D, PTX_2D, PTX_3D, PTX_A1D, PTX_A2D, PTX_CUBE, PTX_ACUBE };
struct ptx_geometry_info {
	uint8_t dims; /* of a texel's place; cubes: 3, their direction */
	bool layer, cube;
};
extern const struct ptx_geometry_info ptx_geometries[];

union ptx_texel_value { /* of a channel */
	float f;
	uint32_t u;
};

struct ptx_place {
	float at[3];
	uint32_t layer;
};

/* One texel's worth, filtered, of level of detail `lod`: floats, or the integers as they are. */
void ptx_texture_sample(const struct ptx_image *t, enum ptx_geometry g, const struct ptx_place *p,
                        float lod, union ptx_texel_value out[4]);
/* The texel at a whole-numbered place of a level. */
void ptx_texture_fetch(const struct ptx_image *t, enum ptx_geometry g, const int32_t at[3],
                       uint32_t layer, int32_t level, union ptx_texel_value out[4]);
/* One channel of the four texels that a linear filter would take, in tld4's order. */
void ptx_texture_gather(const struct ptx_image *t, enum ptx_geometry g, const struct ptx_place *p,
                        unsigned channel, union ptx_texel_value out[4]);
/* The level of detail of derivatives by the two directions of a picture. */
float ptx_texture_lod(const struct ptx_image *t, enum ptx_geometry g, const struct ptx_place *p,
                      const float dx[3], const float dy[3]);
/* The address of `bytes` bytes of a surface's row; 0: outside. x is in bytes; y counts rows, z
 * slices or layers. `clamp`: the nearest one inside instead. */
uint64_t ptx_surface_at(const struct ptx_image *s, const int32_t at[3], uint32_t bytes, bool clamp);

#endif
