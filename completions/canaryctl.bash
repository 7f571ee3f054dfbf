# bash completion of canaryctl

# The words up to the cursor, into `words`: bash itself would split a URL at
# its colons. What is quoted may be split, which does no harm here.
_canaryctl_words() {
    local line=${COMP_LINE:0:COMP_POINT}

    IFS=$' \t' read -ra words <<<"$line"
    [[ $line != *[[:blank:]] ]] || words+=("")
}

# Sets `command`, `nargs`, the number of its arguments before the cursor, and
# `api`, the options that say where the API is.
_canaryctl_parse() {
    local i last=$((${#words[@]} - 1))

    for ((i = 1; i < last; i++)); do
        case ${words[i]} in
            --url | --token-file | --cacert | --capath | --cert | -E | --key | \
            --unix-socket)
                api+=("${words[i]}" "${words[i + 1]//[\'\"]/}")
                ((++i))
                ;;
            --url=* | --token-file=* | --ca*=* | --cert=* | --key=* | -k | \
            --insecure | --unix-socket=*)
                api+=("${words[i]//[\'\"]/}")
                ;;
            --release | -s | --strategy | -i | --canary-interval | \
            --canary-step | --steps | -c | --canary-rule | --rule | \
            --bake | --patience | --approval | -f | --filename | --reason | \
            --if-generation | --after | --exec | --state | --timeout)
                ((++i))
                ;;
            -*) ;;
            *)
                if [[ -z $command ]]; then
                    command=${words[i]}
                else
                    ((++nargs))
                fi
                ;;
        esac
    done
}

_canaryctl_endpoints() {
    timeout 2 canaryctl "${api[@]}" list 2>/dev/null |
        awk 'NR > 1 { print $1 }'
}

# Of the endpoint that follows the word "endpoint".
_canaryctl_releases() {
    local name=${words[*]}

    name=${name#* endpoint }
    timeout 2 canaryctl "${api[@]}" status "${name%% *}" 2>/dev/null |
        awk '$1 == "RELEASE" { for (i = 2; i <= NF; i++) print $i }'
}

_canaryctl_options() {
    case $command in
        status) echo --watch ;;
        update)
            echo --release --strategy --canary-interval --canary-step \
                --steps --canary-rule --rule --bake --patience --approval \
                --filename --wait --reason --if-generation
            ;;
        advance | approve | pause | resume | promote | rollback | weight)
            echo --reason --if-generation
            ;;
        events) echo --after --follow --exec --state ;;
    esac
    echo --url --token-file --json --cacert --capath --cert --key --insecure \
        --unix-socket --timeout --help --version
}

_canaryctl_arguments() {
    case $command:$nargs in
        :0)
            echo list status update advance approve pause resume promote \
                rollback weight events failures fleet forget token
            ;;
        update:0) echo endpoint ;;
        update:1) _canaryctl_endpoints ;;
        token:1) echo reader operator ;;
        status:0 | advance:0 | approve:0 | pause:0 | resume:0 | \
        promote:0 | rollback:0 | weight:0 | events:0 | failures:0)
            _canaryctl_endpoints
            ;;
    esac
}

_canaryctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev choice word
    local command='' nargs=0
    local -a words=() api=()
    local -    # and globbing is off until the end
    set -f

    _canaryctl_words
    _canaryctl_parse

    prev=${words[${#words[@]} - 2]}
    COMPREPLY=()

    case $prev in
        --token-file | --cacert | --cert | -E | --key | -f | --filename | \
        --unix-socket | --state)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        --capath)
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            return
            ;;
        -s | --strategy) choice='canary direct' ;;
        --approval) choice='off step promotion' ;;
        --release) choice=$(_canaryctl_releases) ;;
        --exec)
            mapfile -t COMPREPLY < <(compgen -c -- "$cur")
            return
            ;;
        --url | -i | --canary-interval | --canary-step | --steps | -c | \
        --canary-rule | --rule | --bake | --patience | --timeout | --reason | \
        --if-generation | --after)
            return
            ;;
        *)
            if [[ $cur == -* ]]; then
                choice=$(_canaryctl_options)
            else
                choice=$(_canaryctl_arguments)
            fi
            ;;
    esac

    # Not by compgen -W, which would expand what a name holds.
    for word in $choice; do
        [[ $word != "$cur"* ]] || COMPREPLY+=("$word")
    done
}

complete -F _canaryctl canaryctl
