export {
  type Answer,
  type AttachOptions,
  type Client,
  type ClientOptions,
  createClient,
  type EventQuery,
  type KernelListing,
  type PageQuery,
} from './client.ts';
export type { ServerEvent } from './events.ts';
export { AddressError, UnreachableError } from './transport.ts';
export type * from './types.ts';
