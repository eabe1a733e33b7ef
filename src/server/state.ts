import type { Fault } from '../base/index.ts';
import type { Coordinator } from '../coordinator/index.ts';

export interface LoadingProgress {
  readonly step: string;
  readonly done: number;
  readonly total: number;
}

export type ServicePhase =
  | { readonly phase: 'loading'; readonly progress: LoadingProgress | undefined }
  | { readonly phase: 'ready'; readonly coordinator: Coordinator }
  | { readonly phase: 'failed'; readonly fault: Fault };

/** The server listens before the image is loaded: what it can answer at each time is here. */
export interface ServiceState {
  current(): ServicePhase;
  /** Undefined unless ready. */
  coordinator(): Coordinator | undefined;
  isStopping(): boolean;
  setProgress(progress: LoadingProgress): void;
  /** Ends loading, once. */
  setReady(coordinator: Coordinator): void;
  setFailed(fault: Fault): void;
  setStopping(): void;
  /** Calls back when the coordinator is there (at once if it already is). */
  onReady(listener: (coordinator: Coordinator) => void): void;
}

export function createServiceState(): ServiceState {
  let phase: ServicePhase = { phase: 'loading', progress: undefined };
  let stopping = false;
  const listeners: ((coordinator: Coordinator) => void)[] = [];
  return {
    current: () => phase,
    coordinator: () => (phase.phase === 'ready' ? phase.coordinator : undefined),
    isStopping: () => stopping,
    setProgress(progress) {
      if (phase.phase === 'loading') phase = { phase: 'loading', progress };
    },
    setReady(coordinator) {
      phase = { phase: 'ready', coordinator };
      for (const listener of listeners.splice(0)) listener(coordinator);
    },
    setFailed(fault) {
      phase = { phase: 'failed', fault };
    },
    setStopping() {
      stopping = true;
    },
    onReady(listener) {
      if (phase.phase === 'ready') listener(phase.coordinator);
      else listeners.push(listener);
    },
  };
}
