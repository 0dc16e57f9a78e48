/*
 * remote.h - what is known of a file on a server beside its bytes.
 */
#ifndef BLOCK_REMOTE_H
#define BLOCK_REMOTE_H

#include "block/node.h"

enum { REMOTE_VERSION = 512 };

/*
 * Which version of the file the protocol node reads: a line of text that another version does not
 * have. False: the server does not say, or it is no such node.
 */
bool remote_version(const Node *node, char version[REMOTE_VERSION]);

/* The last part of a URL's or file's name, decoded; the caller frees it. "" if there is none. */
char *url_file_name(const char *url);

/* A URL without user and password, for messages and files; the caller frees it. */
char *url_without_secrets(const char *url);

#endif
