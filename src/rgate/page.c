#include "rgate/page.h"

/* From page.S. */
extern const char rg_page_dev_html[], rg_page_dev_html_end[];
extern const char rg_page_welcome_html[], rg_page_welcome_html_end[];

/* The pages carry their own style and script and load nothing from elsewhere. */
static struct rg_static_page page(const char *start, const char *end)
{
    return (struct rg_static_page){
        .content_type = RG_STR("text/html; charset=utf-8"),
        .body = rg_str_n(start, (size_t)(end - start)),
        .content_security_policy =
            RG_STR("default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; "
                   "script-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
                   "form-action 'none'; frame-ancestors 'none'"),
    };
}

struct rg_static_page rg_page_dev(void)
{
    return page(rg_page_dev_html, rg_page_dev_html_end);
}

struct rg_static_page rg_page_welcome(void)
{
    return page(rg_page_welcome_html, rg_page_welcome_html_end);
}
