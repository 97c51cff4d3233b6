# Completion of rgate for bash. Use: source <(rgate help completion bash)
# shellcheck shell=bash

_rgate()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=

    if [ "$COMP_CWORD" -eq 1 ]; then
        words="serve dev check publish subscribe token version help --help --version"
    else
        case ${COMP_WORDS[1]}:$before in
        help:help) words="variables completion serve dev check publish subscribe token version" ;;
        help:variables) words="--markdown" ;;
        help:completion) words="bash zsh fish" ;;
        token:--alg) words="HS256 HS384 HS512" ;;
        *:--url) words="http://localhost:4000" ;;
        publish:--type | publish:--data | publish:--source | publish:--id) return ;;
        publish:--brokers | publish:--topic | publish:--key | publish:--jwt | publish:--user) return ;;
        subscribe:--type | subscribe:--where | subscribe:--subscriptions) return ;;
        subscribe:--jwt | subscribe:--count) return ;;
        token:--secret | token:--sub | token:--jti | token:--claim | token:--exp) return ;;
        serve:*) words="--help" ;;
        dev:*) words="--expose --no-demo --help" ;;
        check:*) words="--no-connect --all --help" ;;
        publish:*)
            words="--type --data --source --id --brokers --topic --key --url --cacert --insecure --jwt --user --help"
            ;;
        subscribe:*)
            words="--url --cacert --insecure --ws --type --where --subscriptions --jwt --count --once --raw --all --help"
            ;;
        token:*) words="--secret --alg --sub --jti --claim --exp --help" ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    if [ "${COMP_WORDS[1]}" = publish ] && [[ $word == @* ]]; then
        mapfile -t COMPREPLY < <(compgen -P @ -f -- "${word#@}")
    fi
}

complete -F _rgate rgate
