/** The model that stands for the best variant within a request's budget. */
export const AUTO = "auto";
