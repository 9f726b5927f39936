/* SPDX-License-Identifier: GPL-2.0 */
/* No trace events of monitors. */
