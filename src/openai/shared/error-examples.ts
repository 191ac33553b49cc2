// For the API's description: what each kind of error says, of one request that would get it.
import type { ErrorCode } from "./errors.ts";

export const ERROR_EXAMPLES: Readonly<Record<ErrorCode, readonly [message: string, param?: string]>> = {
  invalid_json: [
    "We could not parse the JSON body of your request: it is not valid JSON in UTF-8. The API expects a JSON payload.",
  ],
  missing_required_parameter: ["Missing required parameter: 'model'.", "model"],
  invalid_type: ["Invalid value for 'seed': expected an integer of 64 bits.", "seed"],
  invalid_value: ["Invalid value for 'temperature': Too big: expected number to be <=2.", "temperature"],
  unsupported_parameter: [
    "Unsupported parameter: 'audio' is not supported by this gateway. Leave it out; accepted is nothing but null.",
    "audio",
  ],
  context_length_exceeded: [
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9030 tokens. Please reduce the length of the messages.",
    "messages",
  ],
  grammar_failed: ["the grammar can be read in too many ways at once: make its patterns less ambiguous"],
  invalid_json_schema: [
    'Invalid schema for \'response_format.json_schema.schema\': #: "type" must be "object" at the root of a strict schema. Change the schema.',
    "response_format.json_schema.schema",
  ],
  invalid_function_parameters: [
    'Invalid schema for \'tools.0.function.parameters\': #: "type" must be "object" at the root of a strict schema. Change the schema.',
    "tools.0.function.parameters",
  ],
  invalid_api_key: ["Incorrect API key provided."],
  insufficient_permissions: [
    "Experiments are for admin keys: this one has no `admin` in the gateway's secret API_KEYS.",
  ],
  model_not_found: ["The model 'gpt-5' does not exist. GET /v1/models lists the models there are.", "model"],
  decision_not_found: ["There is no decision 'dec_1' of a request with this key.", "id"],
  response_not_found: ["Response with id 'resp_1' not found.", "id"],
  experiment_not_found: ["There is no experiment 'attn-drop-1'.", "id"],
  completion_not_found: ["There is no answer 'chatcmpl-1' to this key in an experiment.", "completion_id"],
  previous_response_not_found: ["Previous response with id 'resp_1' not found.", "previous_response_id"],
  unknown_url: ["Invalid URL (GET /v1/nothing)"],
  unsupported_endpoint: [
    "POST /v1/embeddings is not served: this gateway runs one text model and does not have embeddings. It serves POST /v1/chat/completions; GET /openapi.json describes all there is.",
  ],
  method_not_allowed: ["Not allowed to POST on /v1/models; allowed are GET, HEAD, OPTIONS."],
  request_timeout: ["The request body was not there within 30000 ms."],
  request_too_large: ["The request body is larger than the maximum of 4194304 bytes."],
  unsupported_media_type: [
    "Unsupported content type. This API method only accepts 'application/json' requests; set the header 'Content-Type: application/json'.",
  ],
  budget_unmet: [
    "No variant is predicted to meet the budget: the nearest, 'smollm2-135m', has 40.8 % on HellaSwag, but 'budget.min_hellaswag' is 99. Ask for less, or leave 'strict' out to get the nearest.",
    "budget.min_hellaswag",
  ],
  rate_limit_requests: ["This API key has reached its limit of 60 requests a minute. Try again in 1s."],
  rate_limit_tokens: [
    "This API key has reached its limit of 20000 tokens a minute. This request may use 543. Try again in 1.5s.",
  ],
  key_overloaded: ["Requests of this API key are waiting already; another one would wait for about 75 s."],
  rate_limit_too_large: [
    "This request may use 8192 tokens, prompt and longest reply together, but this API key has a limit of 1000 tokens a minute. Shorten the prompt, or ask for fewer tokens or choices.",
  ],
  internal_error: ["The server had an error while processing your request."],
  numerical_error: ["smollm2-135m computed NaN or infinity at position 41: ask another variant"],
  misconfigured: ["This gateway has no API keys yet: set its secret API_KEYS."],
  overloaded: ["There is too much to do: a request would wait for about 75 s."],
  model_too_large: [
    "weights and scratch need 138.0 MiB, the engine may hold 118.0 MiB: set MEMORY_CEILING_MIB higher, sequences need room too, or where no isolate may be larger keep more linears at 4 bits",
  ],
  out_of_memory: ["a KV cache of 2048 tokens takes 23592960 bytes, and 1048576 of 25165824 are free"],
  replica_unavailable: ["The model's replica is not reachable at the moment. Try again."],
  storage_unavailable: ["What this gateway keeps in its database is not reachable at the moment. Try again."],
  model_damaged: ["weight part smollm2-135m-0.bin is missing: run `npm run build` and deploy dist/weights again"],
  deadline_exceeded: ["The reply was not finished within 300000 ms."],
};
