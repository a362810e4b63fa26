export const playFile = () => [];
