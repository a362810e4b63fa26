// What an application imports that keeps sessions by itself.
export * from '@cyphr/e2ee/pqxdh';
export * from '@cyphr/e2ee/ratchet';
