/*
 * completion.h - the shells' completion scripts.
 *
 * Thread: any.
 */
#pragma once

extern const char rg_completion_bash[];
extern const char rg_completion_zsh[];
extern const char rg_completion_fish[];
