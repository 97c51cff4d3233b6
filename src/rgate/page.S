/* The files of web/ and a library for one of them, byte for byte. The paths come from the build. */
    .section .rodata

    .global rg_page_dev_html, rg_page_dev_html_end
    .hidden rg_page_dev_html, rg_page_dev_html_end
rg_page_dev_html:
    .incbin RG_DEV_HTML
rg_page_dev_html_end:

    .global rg_page_welcome_html, rg_page_welcome_html_end
    .hidden rg_page_welcome_html, rg_page_welcome_html_end
rg_page_welcome_html:
    .incbin RG_WELCOME_HTML
rg_page_welcome_html_end:

    .global rg_page_phoenix_js, rg_page_phoenix_js_end
    .hidden rg_page_phoenix_js, rg_page_phoenix_js_end
rg_page_phoenix_js:
    .incbin RG_PHOENIX_JS
rg_page_phoenix_js_end:

    .section .note.GNU-stack, "", %progbits
