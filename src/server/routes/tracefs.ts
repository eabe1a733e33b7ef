import type { App } from '../app-type.ts';
import { kernelViewRoute } from './kernel-view.ts';

export function tracefsRoutes(app: App): void {
  const route = (name: string, summary: string): void =>
    kernelViewRoute(app, `/v1/tracefs/${name}`, `tracing/${name}`, summary);
  route('enabled_functions', 'Sites that call something now, in the kernel’s own format');
  route('touched_functions', 'Sites that ever called something, in the kernel’s own format; not before 6.4');
  route('kprobe_profile', 'Hits and misses of probes that came through tracefs, in the kernel’s own format');
  route('available_filter_functions', 'Functions with an ftrace site, in the kernel’s own format');
}
