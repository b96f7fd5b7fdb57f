# SPDX-License-Identifier: Apache-2.0
# bash completion for rein. Subcommands and options come from `rein help`, so they cannot disagree.
# shellcheck shell=bash

_rein_running() { # PIDs and names of the programs that have joined
	rein ps 2>/dev/null | awk 'NR > 1 && $1 ~ /^[0-9]+$/ { print $1; print $2 }'
}

_rein_policies() {
	rein policy 2>/dev/null | awk '{ print ($1 == "*") ? $2 : $1 }'
}

_rein() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]-} i
	local words=""
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		words="$(rein help 2>/dev/null | awk '/^  [a-z]/ { print $1 }') --help --version"
	elif [[ $command == run ]]; then
		# behind the program's name everything is the program's own
		for ((i = 2; i < COMP_CWORD; i++)); do
			case ${COMP_WORDS[i]} in
			--prio | --class | --name | --deadline | --period | --budget | --weight | --latency-nice | --job | --sms) ((i++)) ;;
			--) break ;;
			-*) ;;
			*) break ;;
			esac
		done
		if ((i < COMP_CWORD)); then
			[[ ${COMP_WORDS[i]} == -- ]] && ((i++))
			_rein_program "$i"
			return
		fi
	fi
	case $command,$prev in
	*,--prio | *,--weight | *,--interval | *,--count | *,--name | *,--class) return ;;
	*,--deadline | *,--period | *,--budget | *,--latency-nice | *,--job | *,--sms) return ;;
	help,*) words=$(rein help 2>/dev/null | awk '/^  [a-z]/ { print $1 }') ;;
	policy,policy) words="analyse $(_rein_policies)" ;;
	set,set | why,why) words=$(_rein_running) ;;
	*,--worst | *,--pid | *,--seed | *,--seeds | *,--duration | *,--last) return ;;
	policy,--policy | sim,--policy) words="$(_rein_policies)$([[ $command == sim ]] && echo " rr hpf tokens srpt")" ;;
	calibrate,--device)
		words=$(nvidia-smi -L 2>/dev/null | grep -oE 'GPU-[0-9a-f-]+')
		;;
	calibrate,--out | policy,analyse | sim,sim | sim,--trace | trace,-o | trace,--output | report,-o | report,--output)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	if [[ $cur == -* ]] && ((COMP_CWORD > 1)); then
		words=$(rein help "$command" 2>/dev/null | grep -oE -- '--[a-z-]+' | sort -u)
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	if [[ $command == run && $cur != -* ]] && ((COMP_CWORD > 1)); then
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
	fi
}

_rein_program() { # INDEX of the program among the words: a command name, then its files
	if (($1 >= COMP_CWORD)); then
		mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
	fi
}

complete -F _rein rein
