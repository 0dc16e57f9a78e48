/*
 * version.h - the one place that names the release.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define ONIONSKIN_VERSION "0.1"

#endif
