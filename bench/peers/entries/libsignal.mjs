export * from '@signalapp/libsignal-client';
