import type { CommandProgress, Coordinator } from '../../src/coordinator/index.ts';

export function fakeProgress(): Pick<Coordinator, 'onProgress'> & { tellProgress(progress: CommandProgress): void } {
  const listeners = new Set<(progress: CommandProgress) => void>();
  return {
    onProgress: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    tellProgress(progress) {
      for (const listener of listeners) listener(progress);
    },
  };
}
