import { z } from 'zod';

/**
 * Fields that transformers (`PretrainedConfig`) writes into every config.json and that say nothing about an
 * encoder's arithmetic: bookkeeping, text generation, labels, training. Old files carry all of them.
 */
const INERT_FIELDS = [
  '_attn_implementation_autoset',
  '_commit_hash',
  '_name_or_path',
  'add_cross_attention',
  'architectures',
  'attention_dropout',
  'bad_words_ids',
  'begin_suppress_tokens',
  'bos_token_id',
  'chunk_size_feed_forward',
  'classifier_dropout',
  'cross_attention_hidden_size',
  'decoder_start_token_id',
  'diversity_penalty',
  'do_sample',
  'dropout',
  'dropout_rate',
  'dtype',
  'early_stopping',
  'encoder_no_repeat_ngram_size',
  'eos_token_id',
  'exponential_decay_length_penalty',
  'finetuning_task',
  'forced_bos_token_id',
  'forced_eos_token_id',
  'gradient_checkpointing',
  'id2label',
  'initializer_factor',
  'initializer_range',
  'is_encoder_decoder',
  'label2id',
  'length_penalty',
  'max_length',
  'min_length',
  'n_positions',
  'no_repeat_ngram_size',
  'num_beam_groups',
  'num_beams',
  'num_decoder_layers',
  'num_return_sequences',
  'output_attentions',
  'output_hidden_states',
  'output_past',
  'output_scores',
  'pad_token_id',
  'prefix',
  'problem_type',
  'remove_invalid_values',
  'repetition_penalty',
  'return_dict',
  'return_dict_in_generate',
  'sep_token_id',
  'suppress_tokens',
  'task_specific_params',
  'temperature',
  'tf_legacy_loss',
  'tie_encoder_decoder',
  'tie_word_embeddings',
  'tokenizer_class',
  'top_k',
  'top_p',
  'torch_dtype',
  'torchscript',
  'transformers_version',
  'typical_p',
  'use_bfloat16',
  'use_cache',
] as const;

const inert = Object.fromEntries(
  INERT_FIELDS.map((field) => [field, z.unknown().optional()]),
) as unknown as Record<(typeof INERT_FIELDS)[number], z.ZodOptional<z.ZodUnknown>>;

/** Fields of every transformers config.json, to be spread into a model's strict schema. */
export const transformersFields = {
  ...inert,
  is_decoder: z.literal(false).optional(),
  pruned_heads: z.strictObject({}).optional(),
};

export const positiveInteger = z.int().positive();
