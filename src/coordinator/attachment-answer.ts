import type { Attachment } from '../registry/index.ts';
import { attachmentView } from './answers.ts';
import type { Kernel } from './kernel.ts';
import type { AttachmentView } from './service.ts';

/** An attachment as it is shown: what the registry knows of it, and how long it stays. */
export function attachmentAnswer(kernel: Kernel, attachment: Attachment, isAll: boolean): AttachmentView {
  const lease = kernel.leases.leases.get(attachment.id);
  return {
    ...attachmentView(kernel.view(), attachment, isAll),
    session: lease?.session ?? null,
    pinned: lease?.isPinned ?? false,
    counters: kernel.counters.of(attachment.id),
  };
}
