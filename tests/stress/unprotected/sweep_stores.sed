# SPDX-License-Identifier: Apache-2.0
# The sweep ends a flow whether or not a packet came since it was copied.
s/^\tif (__sync_val_compare_and_swap(&flow->seq, seq, seq | MARK_ENDED) != seq) {/\tflow->seq = seq | MARK_ENDED;\n\tif (false) {/
