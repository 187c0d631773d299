# SPDX-License-Identifier: Apache-2.0
# A packet counts itself in a flow whether or not another one does at that moment.
s/^\tif (__sync_val_compare_and_swap(&flow->seq, seq, (seq & ~(__u64)MARK_MASK) | MARK_BUSY) != seq)/\tif (false)/
