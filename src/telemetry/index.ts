export { consoleLog, type FailureRecord, type Log, type RequestRecord } from "./log.ts";
