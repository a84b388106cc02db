"""Tab completion of the host runner."""

from __future__ import annotations

BASH = """\
_holdfast() {
    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
    local commands="backup list status verify expire restore-test restore rescue audit override
        records metrics reap completion"
    case "$previous" in
        --type) COMPREPLY=($(compgen -W "full differential incremental log logical archive" -- "$current")); return ;;
        --kind)
            local kinds="table schema database function procedure view sequence trigger event role"
            COMPREPLY=($(compgen -W "$kinds" -- "$current")); return ;;
        --fail-on) COMPREPLY=($(compgen -W "critical high medium low" -- "$current")); return ;;
        completion) COMPREPLY=($(compgen -W "bash" -- "$current")); return ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "$commands --help --version" -- "$current"))
    elif [[ "$current" == -* ]]; then
        local options="--json --verbose --help"
        case "${COMP_WORDS[1]}" in
            backup) options+=" --type --scheduled" ;;
            verify) options+=" --again --scheduled" ;;
            expire) options+=" --dry-run --scheduled" ;;
            restore-test) options+=" --backup --repository --scheduled" ;;
            restore)
                options+=" --plan --confirm --time --position --transaction --point --consistent --timeline --source"
                options+=" --backup --repository --delta --drop-previous --disconnect --create --no-check" ;;
            rescue) options+=" --kind --name --time --where --deleted-until --replace --confirm --plan" ;;
            override) options+=" --reason --by --for" ;;
            audit) options+=" --last --rights --fail-on" ;;
            records) options+=" --last" ;;
            metrics) options+=" --output" ;;
            reap) options+=" --scheduled" ;;
        esac
        COMPREPLY=($(compgen -W "$options" -- "$current"))
    else
        local names
        names=$(cd /etc/holdfast/instances 2>/dev/null && printf '%s\\n' *.json)
        COMPREPLY=($(compgen -W "${names//.json/}" -- "$current"))
    fi
}
complete -F _holdfast holdfast
"""
