/** Hooks whose LSM programs may sleep: sleepable_lsm_hooks of kernel/bpf/bpf_lsm.c, by name. */
import { LSM_SLEEPABLE_HOOKS } from '../kernels/bpf-facts.ts';
import { UNKNOWN, type Unknown } from '../kernels/fact.ts';
import type { World } from '../world.ts';

/** In 6.1.192 and in 6.12.117. */
const IN_BOTH = new Set([
  'bpf',
  'bpf_map',
  'bpf_prog',
  'bprm_check_security',
  'bprm_committed_creds',
  'bprm_committing_creds',
  'bprm_creds_for_exec',
  'bprm_creds_from_file',
  'capget',
  'capset',
  'cred_prepare',
  'file_ioctl',
  'file_lock',
  'file_open',
  'file_receive',
  'inode_create',
  'inode_free_security',
  'inode_getattr',
  'inode_getxattr',
  'inode_mknod',
  'inode_need_killpriv',
  'inode_post_setxattr',
  'inode_readlink',
  'inode_rename',
  'inode_rmdir',
  'inode_setattr',
  'inode_setxattr',
  'inode_symlink',
  'inode_unlink',
  'kernel_module_request',
  'kernel_read_file',
  'kernfs_init_security',
  'mmap_file',
  'netlink_send',
  'path_notify',
  'release_secctx',
  'sb_alloc_security',
  'sb_eat_lsm_opts',
  'sb_kern_mount',
  'sb_mount',
  'sb_remount',
  'sb_set_mnt_opts',
  'sb_show_options',
  'sb_statfs',
  'sb_umount',
  'settime',
  'socket_accept',
  'socket_bind',
  'socket_connect',
  'socket_create',
  'socket_getpeername',
  'socket_getpeersec_dgram',
  'socket_getsockname',
  'socket_getsockopt',
  'socket_listen',
  'socket_post_create',
  'socket_recvmsg',
  'socket_sendmsg',
  'socket_shutdown',
  'socket_socketpair',
  'syslog',
  'task_alloc',
  'current_getsecid_subj',
  'task_getsecid_obj',
  'task_prctl',
  'task_setscheduler',
  'userns_create',
]);

const ONLY_IN_6_1 = new Set(['bpf_map_alloc_security', 'bpf_map_free_security', 'inet_conn_established', 'key_free']);

const ONLY_IN_6_12 = new Set([
  'bpf_map_create',
  'bpf_map_free',
  'bpf_prog_load',
  'bpf_token_create',
  'bpf_token_free',
  'bpf_token_cmd',
  'bpf_token_capable',
  'file_post_open',
  'path_unlink',
  'path_mkdir',
  'path_rmdir',
  'path_truncate',
  'path_symlink',
  'path_link',
  'path_rename',
  'path_chmod',
  'path_chown',
]);

/** May programs of this hook (`bpf_lsm_file_open`) sleep? Unknown where the list of the kernel was not read and the two known ones differ. */
export function isSleepableHook(world: World, name: string): boolean | Unknown {
  const hook = name.replace(/^bpf_lsm_/, '');
  if (IN_BOTH.has(hook)) return true;
  const list = world.fact(LSM_SLEEPABLE_HOOKS);
  if (list === UNKNOWN) return ONLY_IN_6_1.has(hook) || ONLY_IN_6_12.has(hook) ? UNKNOWN : false;
  return (list === '6.1' ? ONLY_IN_6_1 : ONLY_IN_6_12).has(hook);
}
