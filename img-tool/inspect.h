/*
 * inspect.h - inside `img-tool inspect`: what the confined process is told and what it says.
 */
#ifndef IMG_TOOL_INSPECT_H
#define IMG_TOOL_INSPECT_H

#include <jansson.h>

#include "img-tool/cmd.h"

typedef enum { VERDICT_OK, VERDICT_SUSPICIOUS, VERDICT_REFUSE } Verdict;

typedef struct InspectLimits {
    uint64_t timeout_s, memory;   /* of the process that looks */
    uint64_t max_size, max_ratio; /* of the image */
} InspectLimits;

/* A report in the making: an object, its verdict and the reasons for it. */
typedef struct Report {
    json_t *json, *reasons;
    Verdict verdict;
} Report;

void report_init(Report *r, const char *filename);
void report_free(Report *r);
/* A reason why the verdict is not better than `verdict`. */
void report_reason(Report *r, Verdict verdict, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The object with verdict and reasons as one line of JSON (the caller frees it). */
char *report_text(Report *r);

/* inspect-look.c: look at the image without its tables, then at these. 0 or -errno. */
int inspect_open(const char *filename, const char *format, const InspectLimits *limits, Report *r,
                 Node **node);
void inspect_tables(Node *node, Report *r);

/*
 * inspect-confine.c: from now on this process may read `filename`, use as much as `limits` allow,
 * and nothing else: no other file, no network, no other program. What the kernel does not offer is
 * left out; `done` (may be NULL) gets the names of what holds.
 */
int inspect_confine(const char *filename, const InspectLimits *limits, json_t *done);

#endif
