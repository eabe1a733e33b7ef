export { openCoordinator } from '../coordinator/index.ts';
export { type AppOptions, buildApp } from './app.ts';
export { parseTokenFile, type TokenBook } from './auth.ts';
export { hostNamesFor, isLoopback, type ListenAddress, ListenError, parseListen } from './listen.ts';
export { createLogger, LOG_LEVELS, type LogLevel } from './logging.ts';
export { EDGE_RULES } from './rules.ts';
export { type RunningService, type StartOptions, startService } from './start.ts';
export { createServiceState, type LoadingProgress, type ServicePhase, type ServiceState } from './state.ts';
export { VERSION } from './version.ts';
