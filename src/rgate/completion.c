/*
 * The files of packaging/completions, for `rgate help completion`: what is installed and what is
 * printed are the same bytes. C has no other way to include a file as it is.
 */
#include "rgate/completion.h"

#define EMBED(name, file)                                                                          \
    __asm__(".pushsection .rodata\n"                                                               \
            ".global " name "\n"                                                                   \
            ".type " name ", %object\n" name ":\n"                                                 \
            ".incbin \"" RG_COMPLETIONS_DIR "/" file "\"\n"                                        \
            ".byte 0\n"                                                                            \
            ".size " name ", . - " name "\n"                                                       \
            ".popsection\n")

EMBED("rg_completion_bash", "rgate.bash");
EMBED("rg_completion_zsh", "rgate.zsh");
EMBED("rg_completion_fish", "rgate.fish");
