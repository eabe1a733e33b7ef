export { FETCH_MODELS, FETCH_UNIT, type FetchModelName, isAtomicStore, type TextStore } from './fetch-model.ts';
export { StaleFetch, type StaleFetchOptions } from './stale-fetch.ts';
export { type TextId, type ViewId, VisibleText } from './visible-text.ts';
