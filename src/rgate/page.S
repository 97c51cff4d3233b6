/* The files of web/ and a library for one of them, byte for byte. The paths come from the build. */
    .macro file name, path
    .global rg_page_\name, rg_page_\name\()_end
    .hidden rg_page_\name, rg_page_\name\()_end
rg_page_\name:
    .incbin "\path"
rg_page_\name\()_end:
    .endm

    .section .rodata

    file dev_html, RG_DEV_HTML
    file welcome_html, RG_WELCOME_HTML
    file phoenix_js, RG_PHOENIX_JS
    file openapi_json, RG_OPENAPI_JSON
    file swagger_json, RG_SWAGGER_JSON
    file reader_html, RG_READER_HTML
    file dashboard_html, RG_DASHBOARD_HTML

    .section .note.GNU-stack, "", %progbits
