import type { App } from '../app-type.ts';
import { kernelViewRoute } from './kernel-view.ts';

export function debugfsRoutes(app: App): void {
  const route = (name: string, summary: string): void =>
    kernelViewRoute(app, `/v1/debugfs/kprobes/${name}`, `debug/kprobes/${name}`, summary);
  route('list', 'Every kprobe, in the kernel’s own format');
  route('blacklist', 'Where no kprobe may go, in the kernel’s own format');
}
