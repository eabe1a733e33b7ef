/** Which pointers of tracepoints may be NULL or an error: facts of kernel/bpf/btf.c, raw_tp_null_args (6.12.117), by the place of the argument. */

type Table = readonly (readonly [index: number, names: string])[];

const NULL_ARGUMENTS: Table = [
  [
    0,
    `afs_protocol_error cachefiles_io_error cachefiles_lookup cachefiles_mark_active cachefiles_mark_failed cachefiles_mark_inactive
    cachefiles_ondemand_close cachefiles_ondemand_copen cachefiles_ondemand_cread cachefiles_ondemand_fd_release
    cachefiles_ondemand_fd_write cachefiles_ondemand_open cachefiles_ondemand_read cachefiles_prep_read cachefiles_rename
    cachefiles_unlink cachefiles_vfs_error mm_collapse_huge_page_isolate mm_page_alloc mm_page_alloc_zone_locked mm_page_pcpu_drain
    rxrpc_recvdata sched_process_wait tcp_send_reset tmigr_update_events xs_stream_read_data`,
  ],
  [
    1,
    `afs_flock_ev afs_make_fs_call afs_make_fs_call1 afs_make_fs_call2 afs_make_fs_calli break_lease_block break_lease_noblock
    break_lease_unblock device_pm_callback_start ext4_mballoc_discard ext4_mballoc_free fcntl_setlk flock_lock_inode
    folio_wait_writeback generic_delete_lease locks_remove_posix mm_khugepaged_collapse_file mm_khugepaged_scan_file
    mm_khugepaged_scan_pmd netfs_failure posix_lock_inode rxrpc_resend sched_pi_setprio tcp_send_reset time_out_leases
    writeback_dirty_folio xprt_get_cong xprt_put_cong xprt_release_cong xprt_reserve_cong`,
  ],
  [2, `fib_table_lookup sched_stick_numa sched_swap_numa tegra_dma_tx_status`],
  [3, `kfree_skb qdisc_dequeue`],
  [4, `host1x_cdma_push_gather`],
];

const ERROR_ARGUMENTS: Table = [
  [1, `signal_deliver signal_generate`],
  [2, `cachefiles_lookup`],
  [3, `mr_integ_alloc`],
];

const named = (table: Table): ReadonlySet<string> =>
  new Set(table.flatMap(([index, names]) => names.split(/\s+/).map((name) => `${name} ${index}`)));

const MAY_BE_NULL = named(NULL_ARGUMENTS);
const MAY_BE_ERROR = named(ERROR_ARGUMENTS);

/** What an argument of a tracepoint may be besides a pointer to its type; undefined: nothing. */
export function tracepointDoubt(name: string, index: number): 'null' | 'error' | undefined {
  const key = `${name} ${index}`;
  if (MAY_BE_ERROR.has(key)) return 'error';
  return MAY_BE_NULL.has(key) ? 'null' : undefined;
}
