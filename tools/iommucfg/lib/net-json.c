// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A snapshot of the network as JSON, for a process that is to compare it later in the same
 * boot. The kernel's messages are in it as they are, in hex digits.
 */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>

#include "json.h"
#include "net-snapshot.h"

static struct json_object *message_to_json(const struct nlmsghdr *nlh)
{
	const unsigned char *bytes = (const unsigned char *)nlh;
	struct json_object *o;
	char *text, *p;
	size_t i;

	text = malloc(2 * (size_t)nlh->nlmsg_len + 1);
	if (!text)
		return NULL;
	for (i = 0, p = text; i < nlh->nlmsg_len; i++, p += 2)
		sprintf(p, "%02x", bytes[i]);
	o = json_object_new_string(text);
	free(text);
	return o;
}

static struct json_object *messages_to_json(const struct ic_net_messages *messages)
{
	struct json_object *array = json_object_new_array(), *o;
	size_t i;

	for (i = 0; i < messages->n; i++) {
		o = json_object_new_object();
		json_object_object_add(o, "index", json_object_new_int(messages->v[i].index));
		json_object_object_add(o, "message", message_to_json(messages->v[i].nlh));
		json_object_array_add(array, o);
	}
	return array;
}

struct json_object *ic_net_snapshot_to_json(const struct iommucfg_network *s)
{
	struct json_object *o = json_object_new_object(), *array, *e;
	const struct ic_net_link *link;
	size_t i;

	json_object_object_add(o, "taken", json_object_new_int64(s->taken.tv_sec));
	array = json_object_new_array();
	for (i = 0; i < s->num_devices; i++) {
		e = json_object_new_object();
		json_object_object_add(e, "name", json_text(s->devices[i].name));
		json_object_object_add(e, "path", json_text(s->devices[i].path));
		json_object_object_add(e, "group", json_object_new_int64(s->devices[i].group));
		json_object_array_add(array, e);
	}
	json_object_object_add(o, "devices", array);
	array = json_object_new_array();
	for (i = 0; i < s->net.num_links; i++) {
		link = &s->net.links[i];
		e = json_object_new_object();
		json_object_object_add(e, "path", json_text(link->path));
		json_object_object_add(e, "port", json_object_new_int64(link->port));
		json_object_object_add(e, "device", json_object_new_int(link->device));
		json_object_object_add(e, "manager", json_object_new_int(link->manager));
		json_object_object_add(e, "vital", json_object_new_boolean(link->vital));
		json_object_object_add(e, "message", message_to_json(link->nlh));
		json_object_array_add(array, e);
	}
	json_object_object_add(o, "links", array);
	json_object_object_add(o, "addresses", messages_to_json(&s->net.addresses));
	json_object_object_add(o, "routes", messages_to_json(&s->net.routes));
	return o;
}

/* Members that are not there read as null, 0 and "". */
static struct json_object *get(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(o, json_type_object))
		json_object_object_get_ex(o, key, &value);
	return value;
}

static size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/* A message of at least @header bytes behind that of netlink; NULL where it is not one. */
static struct nlmsghdr *message_from_json(struct json_object *o, size_t header)
{
	const char *text = json_object_get_string(get(o, "message"));
	size_t size = text ? strlen(text) / 2 : 0, i;
	struct nlmsghdr *nlh;
	unsigned int byte;

	if (size < MNL_NLMSG_HDRLEN + MNL_ALIGN(header) || size > UINT_MAX)
		return NULL;
	nlh = calloc(1, NLMSG_ALIGN(size));
	for (i = 0; nlh && i < size; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			break;
		((unsigned char *)nlh)[i] = byte;
	}
	if (nlh && i == size && nlh->nlmsg_len == size)
		return nlh;
	free(nlh);
	return NULL;
}

static int messages_from_json(struct ic_net_messages *messages, struct json_object *array,
			      size_t header)
{
	struct ic_net_message *m;
	struct json_object *o;
	size_t i;

	for (i = 0; i < length(array); i++) {
		o = json_object_array_get_idx(array, i);
		if (IC_GROW(messages->v, messages->n, messages->cap))
			return -ENOMEM;
		m = &messages->v[messages->n];
		*m = (struct ic_net_message){ .index = json_object_get_int(get(o, "index")) };
		m->nlh = message_from_json(o, header);
		if (!m->nlh)
			return -EINVAL;
		messages->n++;
	}
	return 0;
}

static int link_from_json(struct iommucfg_network *s, struct json_object *o)
{
	struct ic_net *net = &s->net;
	struct ic_net_link *link;

	if (IC_GROW(net->links, net->num_links, net->cap_links))
		return -ENOMEM;
	link = &net->links[net->num_links];
	*link = (struct ic_net_link){
		.port = json_object_get_int64(get(o, "port")),
		.device = json_object_get_int(get(o, "device")),
		.manager = json_object_get_int(get(o, "manager")),
		.vital = json_object_get_boolean(get(o, "vital")),
		.nlh = message_from_json(o, sizeof(struct ifinfomsg)),
	};
	if (!link->nlh)
		return -EINVAL;
	net->num_links++;
	if (link->device >= (int)s->num_devices || ic_net_link_parse(link))
		return -EINVAL;
	if (ic_strdup(&link->path, json_object_get_string(get(o, "path"))))
		return -ENOMEM;
	return link->device >= 0 && !link->path ? -EINVAL : 0;
}

static int device_from_json(struct iommucfg_network *s, struct json_object *o)
{
	struct ic_net_device *device;

	if (IC_GROW(s->devices, s->num_devices, s->cap_devices))
		return -ENOMEM;
	device = &s->devices[s->num_devices++];
	*device = (struct ic_net_device){ .group = json_object_get_int64(get(o, "group")) };
	if (ic_strdup(&device->name, json_object_get_string(get(o, "name"))) ||
	    ic_strdup(&device->path, json_object_get_string(get(o, "path"))))
		return -ENOMEM;
	return device->name && device->path ? 0 : -EINVAL;
}

/* 0, -ENOMEM, or -EINVAL for what is no snapshot. */
int ic_net_snapshot_from_json(struct iommucfg *ctx, struct json_object *o,
			      struct iommucfg_network **out)
{
	struct iommucfg_network *s = calloc(1, sizeof(*s));
	struct json_object *devices = get(o, "devices"), *links = get(o, "links");
	int ret = 0;
	size_t i;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->refs = 1;
	s->ctx = iommucfg_ref(ctx);
	s->taken.tv_sec = json_object_get_int64(get(o, "taken"));
	for (i = 0; i < length(devices) && !ret; i++)
		ret = device_from_json(s, json_object_array_get_idx(devices, i));
	for (i = 0; i < length(links) && !ret; i++)
		ret = link_from_json(s, json_object_array_get_idx(links, i));
	if (!ret)
		ret = messages_from_json(&s->net.addresses, get(o, "addresses"),
					 sizeof(struct ifaddrmsg));
	if (!ret)
		ret = messages_from_json(&s->net.routes, get(o, "routes"), sizeof(struct rtmsg));
	if (ret || !s->num_devices) {
		iommucfg_network_unref(s);
		return ret ? ret : -EINVAL;
	}
	*out = s;
	return 0;
}
