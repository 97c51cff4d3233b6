#include "rgate/https.h"

#include <limits.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/rcu.h"

#define ONE_DAY_S   86400
#define WARN_DAYS   14
#define DATE_LENGTH 10 /* 2024-05-06 */

/* ---- reading ---- */

/* Which variable a failure of TLS is about. */
static const char *variable_of(const struct rg_why *why)
{
    if (strcmp(why->place, "key_pass") == 0)
        return "HTTPS_KEYFILE_PASS";
    return strcmp(why->place, "key_file") == 0 ? "HTTPS_KEYFILE" : "HTTPS_CERTFILE";
}

/* False if HTTPS is off or cannot be on. */
static bool check_pair(const struct rg_config *config, struct rg_problems *problems)
{
    bool has_cert = config->https_certfile != NULL, has_key = config->https_keyfile != NULL;

    if (!has_cert && !has_key && config->https_keyfile_pass == NULL)
        return false;
    if (!has_cert)
        rg_problem_add(problems, "HTTPS_CERTFILE", NULL, "must be set where %s is",
                       has_key ? "HTTPS_KEYFILE" : "HTTPS_KEYFILE_PASS");
    if (!has_key)
        rg_problem_add(problems, "HTTPS_KEYFILE", NULL, "must be set where %s is",
                       has_cert ? "HTTPS_CERTFILE" : "HTTPS_KEYFILE_PASS");
    return has_cert && has_key;
}

void rg_https_load(struct rg_config *config, struct rg_problems *problems)
{
    char cert_file[PATH_MAX], key_file[PATH_MAX];
    struct rg_tls_settings settings = {cert_file, key_file, config->https_keyfile_pass};
    struct rg_why why = {0};

    if (!check_pair(config, problems))
        return;
    rg_config_find_file(config->https_certfile, cert_file);
    rg_config_find_file(config->https_keyfile, key_file);
    config->tls = rg_tls_new(&settings, &why);
    if (config->tls != NULL)
        return;
    const char *variable = variable_of(&why);
    const char *value = strcmp(variable, "HTTPS_CERTFILE") == 0  ? config->https_certfile
                        : strcmp(variable, "HTTPS_KEYFILE") == 0 ? config->https_keyfile
                                                                 : NULL;
    rg_problem_add(problems, variable, value, "%s", why.text);
}

/* ---- telling ---- */

/* What is told of a certificate. */
struct facts {
    char fingerprint[RG_TLS_FINGERPRINT_SIZE];
    char ends[RG_RFC3339_SIZE]; /* a date */
    int64_t not_after;
    int64_t days; /* until it ends; negative: it has ended */
};

static struct facts facts_of(const struct rg_tls *tls)
{
    struct facts facts = {0};
    int64_t now = rg_clock_wall_us() / 1000000;

    rg_tls_fingerprint(tls, facts.fingerprint);
    facts.not_after = rg_tls_not_after(tls);
    rg_clock_rfc3339(facts.ends, facts.not_after * 1000000);
    facts.ends[DATE_LENGTH] = '\0';
    facts.days = facts.not_after >= now ? (facts.not_after - now) / ONE_DAY_S : -1;
    return facts;
}

void rg_https_warn(const struct rg_tls *tls)
{
    struct facts facts = facts_of(tls);

    if (facts.days < 0)
        rg_log_warn("certificate has ended", RG_FS("not_after", facts.ends),
                    RG_FS("fingerprint", facts.fingerprint));
    else if (facts.days < WARN_DAYS)
        rg_log_warn("certificate ends soon", RG_FS("not_after", facts.ends),
                    RG_FI("days", facts.days), RG_FS("fingerprint", facts.fingerprint));
}

static void log_certificate(const struct rg_tls *tls, const char *what)
{
    struct facts facts = facts_of(tls);

    rg_log_info(what, RG_FS("fingerprint", facts.fingerprint), RG_FS("not_after", facts.ends));
}

void rg_https_log(const struct rg_tls *tls)
{
    if (tls == NULL)
        rg_log_info("https is off: without HTTPS_CERTFILE anybody on the way can read and change "
                    "what clients get");
    else
        log_certificate(tls, "certificate in use");
}

void rg_https_reload(struct rg_tls *tls)
{
    struct rg_why why = {0};

    if (tls == NULL) {
        rg_log_info("nothing to reload: https is off");
        return;
    }
    if (rg_tls_reload(tls, &why) < 0) {
        rg_log_error("certificate not reloaded, the old one stays in use",
                     RG_FS("variable", variable_of(&why)), RG_FS("reason", why.text));
        return;
    }
    log_certificate(tls, "certificate reloaded");
    rg_https_warn(tls);
}

void rg_https_expose(const struct rg_tls *tls, struct rg_buf *out)
{
    if (tls == NULL)
        return;
    rg_tls_expose(out);
    rg_metric_head(out, "rgate_tls_certificate_not_after_seconds", "gauge",
                   "When the certificate in use ends, in seconds since 1970.");
    rg_buf_addf(out, "rgate_tls_certificate_not_after_seconds %lld\n",
                (long long)rg_tls_not_after(tls));
}

void rg_https_print(const struct rg_config *config)
{
    if (config->tls == NULL) {
        printf("%-12s off: HTTPS_CERTFILE is not set\n", "https");
        return;
    }
    struct facts facts = facts_of(config->tls);
    printf("%-12s %s\n%-12s SHA-256 %s\n%-12s ", "certificate", config->https_certfile, "",
           facts.fingerprint, "");
    if (facts.days < 0)
        printf("has ended on %s\n", facts.ends);
    else
        printf("ends on %s, in %lld days\n", facts.ends, (long long)facts.days);
}
