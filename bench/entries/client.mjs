// What an application in a browser imports.
export { createClient } from '@cyphr/e2ee';
export { idbStore } from '@cyphr/e2ee/store/idb';
export { relay } from '@cyphr/e2ee/transport/websocket';
