// Version of the toolkit's arithmetic, which provenance names: raise it with any change after which a command gives other bytes.
export const VERSION = "3";
