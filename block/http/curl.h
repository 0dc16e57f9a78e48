/*
 * curl.h - libcurl, loaded when the first remote image is opened.
 *
 * Linked in the usual way it brings thirty further libraries and doubles the time that every
 * command takes to start. So the few functions that we use are looked up at run time.
 */
#ifndef BLOCK_HTTP_CURL_H
#define BLOCK_HTTP_CURL_H

#include <curl/curl.h>

#include "base/error.h"

typedef struct CurlApi {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    void (*easy_cleanup)(CURL *easy);
    CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
    CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
    const char *(*easy_strerror)(CURLcode code);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_cleanup)(CURLM *multi);
    CURLMcode (*multi_setopt)(CURLM *multi, CURLMoption option, ...);
    CURLMcode (*multi_add_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_remove_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_perform)(CURLM *multi, int *running);
    CURLMcode (*multi_poll)(CURLM *multi, struct curl_waitfd *fds, unsigned n, int ms, int *ready);
    CURLMcode (*multi_wakeup)(CURLM *multi);
    CURLMsg *(*multi_info_read)(CURLM *multi, int *left);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
} CurlApi;

/* NULL and a sentence if there is no libcurl on this machine. Any thread, any number of times. */
const CurlApi *curl_load(Error **err);

#endif
