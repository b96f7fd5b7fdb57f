// SPDX-License-Identifier: Apache-2.0
/*
 * api_launch_attribute.c: attributes of streams and of graphs' kernel nodes. Those that change what
 * is run (cooperative, clusters) are the operation's own. All others are hints: where data is
 * cached, how a host waits, how memory is synchronised. They are kept, and answered.
 */
#include "api_graph.h"

#include <string.h>

enum {
	OF_STREAMS = 1,
	OF_NODES = 2,
};

/* By the comments of enum CUlaunchAttributeID in cuda.h. */
static const uint8_t hints[] = {
    [CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW] = OF_STREAMS | OF_NODES,
    [CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY] = OF_STREAMS,
    [CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE] = OF_NODES,
    [CU_LAUNCH_ATTRIBUTE_PRIORITY] = OF_NODES, /* a stream's is the engine's */
    [CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP] = OF_STREAMS | OF_NODES,
    [CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN] = OF_STREAMS | OF_NODES,
    [CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION] = OF_NODES,
    [CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT] = OF_NODES,
    [CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING] = OF_STREAMS | OF_NODES,
};

static bool is_hint(CUlaunchAttributeID attr, unsigned of)
{
	return (unsigned)attr < REIN_ARRAY_LEN(hints) && (hints[attr] & of);
}

/* What nobody has set. */
static CUlaunchAttributeValue initial(CUlaunchAttributeID attr)
{
	CUlaunchAttributeValue v = {{0}};
	if (attr == CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP)
		v.memSyncDomainMap.remote = 1;
	return v;
}

static bool fits(CUlaunchAttributeID attr, const CUlaunchAttributeValue *v)
{
	const CUaccessPolicyWindow *w = &v->accessPolicyWindow;
	if (attr != CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW)
		return true;
	return w->hitRatio >= 0 && w->hitRatio <= 1 &&
	       (unsigned)w->hitProp <= CU_ACCESS_PROPERTY_PERSISTING &&
	       (unsigned)w->missProp <= CU_ACCESS_PROPERTY_STREAMING;
}

/* *all: an array of values by attribute, made when the first is set. Under sg_lock(). */
static CUresult set(CUlaunchAttributeValue **all, CUlaunchAttributeID attr,
                    const CUlaunchAttributeValue *v)
{
	if (!*all) {
		*all = calloc(REIN_ARRAY_LEN(hints), sizeof(**all));
		if (!*all)
			return CUDA_ERROR_OUT_OF_MEMORY;
		for (unsigned i = 0; i < REIN_ARRAY_LEN(hints); i++)
			(*all)[i] = initial((CUlaunchAttributeID)i);
	}
	(*all)[attr] = *v;
	return CUDA_SUCCESS;
}

static CUresult copy(CUlaunchAttributeValue **dst, const CUlaunchAttributeValue *src)
{
	CUresult r = CUDA_SUCCESS;
	for (unsigned i = 0; src && i < REIN_ARRAY_LEN(hints) && r == CUDA_SUCCESS; i++)
		r = set(dst, (CUlaunchAttributeID)i, &src[i]);
	if (!src && *dst)
		for (unsigned i = 0; i < REIN_ARRAY_LEN(hints); i++)
			(*dst)[i] = initial((CUlaunchAttributeID)i);
	return r;
}

/* ---- streams */

CUresult cuStreamGetAttribute(CUstream hStream, CUstreamAttrID attr, CUstreamAttrValue *value)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	bool hint = is_hint(attr, OF_STREAMS);
	if (!value || (!hint && attr != CU_LAUNCH_ATTRIBUTE_PRIORITY))
		return CUDA_ERROR_INVALID_VALUE;
	memset(value, 0, sizeof(*value));
	sg_lock();
	if (hint)
		*value = s->hints ? s->hints[attr] : initial(attr);
	else
		value->priority = sg_stream_priority(s->engine);
	sg_unlock();
	return CUDA_SUCCESS;
}

CUresult cuStreamGetAttribute_ptsz(CUstream hStream, CUstreamAttrID attr, CUstreamAttrValue *value)
{
	return cuStreamGetAttribute(SG_PT(hStream), attr, value);
}

CUresult cuStreamSetAttribute(CUstream hStream, CUstreamAttrID attr, const CUstreamAttrValue *value)
{
	CUstream s;
	CUresult r = sg_stream_get(hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	if (attr == CU_LAUNCH_ATTRIBUTE_PRIORITY)
		return value->priority == sg_stream_priority(s->engine)
		           ? CUDA_SUCCESS
		           : sg_missing("cuStreamSetAttribute of another priority");
	if (!is_hint(attr, OF_STREAMS) || !fits(attr, value))
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	r = set(&s->hints, attr, value);
	sg_unlock();
	return r;
}

CUresult cuStreamSetAttribute_ptsz(CUstream hStream, CUstreamAttrID attr,
                                   const CUstreamAttrValue *value)
{
	return cuStreamSetAttribute(SG_PT(hStream), attr, value);
}

CUresult cuStreamCopyAttributes(CUstream dst, CUstream src)
{
	CUstream d, s;
	CUresult r = sg_stream_get(dst, &d);
	if (r == CUDA_SUCCESS)
		r = sg_stream_get(src, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (d->ctx != s->ctx)
		return CUDA_ERROR_INVALID_VALUE;
	sg_lock();
	r = copy(&d->hints, s->hints);
	sg_unlock();
	return r;
}

CUresult cuStreamCopyAttributes_ptsz(CUstream dst, CUstream src)
{
	return cuStreamCopyAttributes(SG_PT(dst), SG_PT(src));
}

/* ---- kernel nodes */

CUresult cuGraphKernelNodeGetAttribute(CUgraphNode hNode, CUkernelNodeAttrID attr,
                                       CUkernelNodeAttrValue *value_out)
{
	CUresult r = sg_node_of(hNode, SG_OP_KERNEL, value_out);
	if (r != CUDA_SUCCESS)
		return r;
	const struct sg_kernel_op *k = &hNode->op.kernel;
	memset(value_out, 0, sizeof(*value_out));
	sg_lock();
	if (attr == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) {
		value_out->cooperative = k->cooperative;
	} else if (attr == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
		value_out->clusterDim.x = k->cluster[0];
		value_out->clusterDim.y = k->cluster[1];
		value_out->clusterDim.z = k->cluster[2];
	} else if (is_hint(attr, OF_NODES)) {
		*value_out = hNode->hints ? hNode->hints[attr] : initial(attr);
	} else {
		r = CUDA_ERROR_INVALID_VALUE;
	}
	sg_unlock();
	return r;
}

static CUresult set_cluster(CUgraphNode node, const CUkernelNodeAttrValue *v)
{
	struct sg_kernel_op *k = &node->op.kernel;
	const uint32_t cluster[3] = {v->clusterDim.x, v->clusterDim.y, v->clusterDim.z};
	CUresult r =
	    cluster[0] && cluster[1] && cluster[2] ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = sg_cluster_check(k->f, cluster, k->grid);
	if (r == CUDA_SUCCESS)
		memcpy(k->cluster, cluster, sizeof(cluster));
	return r;
}

CUresult cuGraphKernelNodeSetAttribute(CUgraphNode hNode, CUkernelNodeAttrID attr,
                                       const CUkernelNodeAttrValue *value)
{
	CUresult r = sg_node_of(hNode, SG_OP_KERNEL, value);
	if (r != CUDA_SUCCESS)
		return r;
	if (attr == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE)
		return sg_missing("cuGraphKernelNodeSetAttribute of device-updatable nodes");
	sg_lock();
	if (attr == CU_LAUNCH_ATTRIBUTE_COOPERATIVE)
		hNode->op.kernel.cooperative = value->cooperative != 0;
	else if (attr == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
		r = set_cluster(hNode, value);
	else if (is_hint(attr, OF_NODES) && fits(attr, value))
		r = set(&hNode->hints, attr, value);
	else
		r = CUDA_ERROR_INVALID_VALUE;
	sg_unlock();
	return r;
}

CUresult cuGraphKernelNodeCopyAttributes(CUgraphNode dst, CUgraphNode src)
{
	CUresult r = sg_node_of(dst, SG_OP_KERNEL, dst);
	if (r == CUDA_SUCCESS)
		r = sg_node_of(src, SG_OP_KERNEL, src);
	if (r != CUDA_SUCCESS)
		return r;
	sg_lock();
	struct sg_kernel_op *to = &dst->op.kernel;
	const struct sg_kernel_op *from = &src->op.kernel;
	r = sg_cluster_check(to->f, from->cluster, to->grid);
	if (r == CUDA_SUCCESS)
		r = copy(&dst->hints, src->hints);
	if (r == CUDA_SUCCESS) {
		memcpy(to->cluster, from->cluster, sizeof(to->cluster));
		to->cooperative = from->cooperative;
	}
	sg_unlock();
	return r;
}
