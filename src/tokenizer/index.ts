export { bytesOfToken } from "./alphabet.ts";
export { type ChatConfig, type ChatMessage, ChatTemplateError } from "./chat.ts";
export { bytesOfPiece, byteToken, SPACE } from "./pieces.ts";
export { RunTooLongError } from "./segments.ts";
export { checkTemplate } from "./template.ts";
export { createTokenizer, type Encoded, type TextDecoding, type Tokenizer, type TokenizerJson } from "./tokenizer.ts";
export {
  callsText,
  jsonInstructions,
  resultText,
  type ToolCall,
  type ToolDescription,
  toolInstructions,
  withInstructions,
} from "./tools.ts";
