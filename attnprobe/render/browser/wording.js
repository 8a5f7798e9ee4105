// What is said of each step, one sentence in each language.

/** @typedef {"en" | "zh"} Language */
/**
 * What sentences speak of; `key` and `query` in quotation marks.
 * @typedef {{
 *   query: string, key: string, layer: number, head: number, heads: number, keyDimensions: number, dimensions: number,
 *   from: number, to: number,
 *   scale: "root" | "one" | "own", isRotated: boolean, hasInput: boolean, hasOutput: boolean, terms: string[],
 *   cap: number | null, hidden: number, sink: boolean,
 * }} Facts
 */

/** @typedef {"input" | "maps" | "dot" | "scaled" | "terms" | "softmax" | "values" | "place" | "output"} StepName in order */

/** @type {Record<StepName, (facts: Facts) => string>} */
const SENTENCES = {
  input: ({ query, hasInput }) =>
    hasInput
      ? `x is the vector of ${query} that this layer's attention reads.`
      : "The vector that q is made of is not shown: no linear map of this layer makes q by itself.",
  maps: ({ query, key, isRotated }) =>
    `W_Q makes a query q of ${query}, and W_K a key k of ${key}` +
    (isRotated ? ", each then rotated by its position." : "."),
  dot: () => "q and k are multiplied dimension by dimension and added up; the sum is large where both point the same way.",
  scaled: ({ scale, keyDimensions }) =>
    ({
      root: `Divided by √d, here √${keyDimensions}, the score does not grow with the number d of dimensions.`,
      one: "This model does not divide by √d: its factor is 1.",
      own: "This model multiplies by a factor of its own in place of 1/√d.",
    })[scale],
  terms: ({ terms, cap, hidden }) =>
    [
      cap === null ? "" : `A soft cap, ${cap}·tanh(score / ${cap}), keeps the score between −${cap} and ${cap}.`,
      terms.includes("position_bias") ? "A bias is added that depends on the positions of query and key." : "",
      terms.some((name) => !["softcap", "position_bias"].includes(name)) ? "The model adds a term of its own." : "",
      hidden ? "Keys that this query may not see get −∞, and so the weight 0." : "",
    ].filter(Boolean).join(" ") || "Nothing is added here, and this query may see every key.",
  softmax: ({ sink }) =>
    sink
      ? "exp(score), divided by its sum over all keys and a learned sink, is the weight; the sink takes what is left of 1."
      : "exp(score), divided by its sum over all keys, is the weight: between 0 and 1, and all together 1.",
  values: () => "W_V makes a value v of every token; z is the sum of all values, each times its weight.",
  place: ({ from, to }) =>
    `The outputs of all heads are put side by side, and z takes the columns ${from} to ${to}, counted from 0.`,
  output: ({ hasOutput }) =>
    hasOutput
      ? "W_O maps all columns to the attention's output; the bars show how long each head's part of it is."
      : "The heads' outputs go through something else before W_O, which is not shown.",
};

/** @type {Record<StepName, (facts: Facts) => string>} */
const CHINESE = {
  input: ({ query, hasInput }) =>
    hasInput ? `x 是${query}输入本层注意力时的向量。` : "这里不显示生成 q 的输入向量：本层没有单独生成 q 的线性映射。",
  maps: ({ query, key, isRotated }) =>
    `W_Q 把${query}的向量变换为查询 q，W_K 把${key}的向量变换为键 k` + (isRotated ? "，两者再按各自的位置旋转。" : "。"),
  dot: () => "q 与 k 逐维相乘再求和，得到点积：两个向量的方向越一致，点积越大。",
  scaled: ({ scale, keyDimensions }) =>
    ({
      root: `点积除以 √d（这里 d = ${keyDimensions}），使分数的大小不随维数 d 增长。`,
      one: "这个模型不除以 √d，缩放系数为 1。",
      own: "这个模型不用 1/√d，而用自己的系数来缩放点积。",
    })[scale],
  terms: ({ terms, cap, hidden }) =>
    [
      cap === null ? "" : `软上限 ${cap}·tanh(分数 / ${cap}) 把分数限制在 −${cap} 与 ${cap} 之间。`,
      terms.includes("position_bias") ? "分数再加上一个由查询和键的位置决定的偏置。" : "",
      terms.some((name) => !["softcap", "position_bias"].includes(name)) ? "模型再加上一个自己的项。" : "",
      hidden ? "查询看不到的键，分数记为 −∞，权重因而为 0。" : "",
    ].join("") || "这里不加任何项，查询可以看到所有的键。",
  softmax: ({ sink }) =>
    sink
      ? "对分数取指数，再除以所有键与一个学得的“汇”（sink）的指数之和，得到权重；余下的部分归“汇”。"
      : "对分数取指数，再除以所有键的指数之和，得到权重：每个都在 0 与 1 之间，总和为 1。",
  values: () => "W_V 把每个词元的向量变换为值 v；按权重对所有的值求加权和，得到 z。",
  place: ({ from, to }) => `把所有头的输出拼接在一起，z 占其中的第 ${from} 至第 ${to} 列（从 0 数起）。`,
  output: ({ hasOutput }) =>
    hasOutput
      ? "W_O 把拼接后的向量变换为本层注意力的输出；条形的高度表示各头所贡献部分的长度。"
      : "各头的输出在 W_O 之前还经过其他运算，这里不显示。",
};

const WORDING = {
  en: {
    language: "English",
    tag: "en",
    title: "How a weight is computed",
    open: "Steps ↓",
    choose: { head: "Head", query: "Query", key: "Key" },
    quoted: (/** @type {string} */ label) => `“${label}”`,
    summary: (/** @type {Facts} */ { layer, head, query, key }, /** @type {string} */ weight) =>
      `Layer ${layer}, head ${head}: ${query} gives ${key} the weight ${weight}.`,
    missing: (/** @type {string} */ why) => `The steps are left out: ${why}.`,
    before: (/** @type {boolean} */ isRenormalised) =>
      `Weights here are the model's own, before special tokens are hidden${isRenormalised ? " and rows renormalised" : ""}.`,
    oneOfSeveral: (/** @type {Facts} */ { query, key }) =>
      `The head view takes several pieces together; the steps take one query, ${query}, and one key, ${key}: ` +
      "the first of those kept, unless you choose another.",
    names: {
      input: "Input",
      maps: "Query and key",
      dot: "Dot product",
      scaled: "Scaling",
      terms: "Positions and mask",
      softmax: "Softmax",
      values: "Weighted sum",
      place: "Heads side by side",
      output: "Output map",
    },
    sentences: SENTENCES,
    given: "what attention is given",
    heads: "heads",
    byHead: "by head",
    byKey: "by key",
    size: (/** @type {number} */ count, /** @type {string} */ length) => `${count} numbers, length ${length}`,
    length: "length",
    sum: "sum",
    weighted: "weight·v",
    largest: (/** @type {number} */ at, /** @type {string} */ terms) => `Dimension ${at}, counted from 0, adds most: ${terms}.`,
    dimension: (/** @type {number} */ at) => `dimension ${at}`,
    columnsOf: (/** @type {Facts} */ { from, to, dimensions, heads }) => `z: columns ${from} to ${to} of ${heads * dimensions}`,
    headNumber: (/** @type {number} */ head) => `head ${head}`,
    columns: { token: "key", dot: "q·k", scaled: "scaled", softcap: "softcap", position_bias: "position bias", score: "score", weight: "weight", value_norm: "‖weight·v‖", output_norm: "‖weight·v·W_O‖" },
    table: "Numbers by dimension",
    more: (/** @type {number} */ count, /** @type {string} */ weight) => `${count} more have ${weight} together: show all`,
    less: "Show the strongest only",
    note: (/** @type {string} */ difference, /** @type {string} */ megabytes) =>
      `Computed in this page from q, k and v in float16; weights of this row differ from the model's own by ${difference} at most. ` +
      `The steps are ${megabytes} MB of the page; --no-steps leaves them out.`,
    below: "less than 0.00001",
    space: " ",
    comma: ", ",
    colon: ": ",
    translated: /** @type {[RegExp, string][]} */ ([]),
  },
  zh: {
    language: "中文",
    tag: "zh-Hans",
    title: "注意力权重的计算过程",
    open: "计算步骤 ↓",
    choose: { head: "注意力头", query: "查询", key: "键" },
    quoted: (/** @type {string} */ label) => `“${label}”`,
    summary: (/** @type {Facts} */ { layer, head, query, key }, /** @type {string} */ weight) =>
      `第 ${layer} 层第 ${head} 头：${query}对${key}的注意力权重为 ${weight}。`,
    missing: (/** @type {string} */ why) => `此处没有计算步骤，原因是：${why}。`,
    before: (/** @type {boolean} */ isRenormalised) =>
      `这里的权重是模型自身的权重，尚未隐藏特殊词元${isRenormalised ? "，也未对各行重新归一化" : ""}。`,
    oneOfSeveral: (/** @type {Facts} */ { query, key }) =>
      `注意力头视图把几个词元合在一起，计算步骤只取一个查询${query}和一个键${key}：默认为所选词元中的第一个，也可以另选。`,
    names: {
      input: "输入",
      maps: "查询与键",
      dot: "点积",
      scaled: "缩放",
      terms: "位置项与掩码",
      softmax: "softmax",
      values: "加权和",
      place: "多头拼接",
      output: "输出映射",
    },
    sentences: CHINESE,
    given: "直接给予注意力的向量",
    heads: "各头",
    byHead: "各头",
    byKey: "各键",
    size: (/** @type {number} */ count, /** @type {string} */ length) => `${count} 维，长度 ${length}`,
    length: "长度",
    sum: "和",
    weighted: "权重·v",
    largest: (/** @type {number} */ at, /** @type {string} */ terms) => `第 ${at} 维（从 0 数起）贡献最大：${terms}。`,
    dimension: (/** @type {number} */ at) => `第 ${at} 维`,
    columnsOf: (/** @type {Facts} */ { from, to, dimensions, heads }) => `z：共 ${heads * dimensions} 列中的第 ${from} 至第 ${to} 列`,
    headNumber: (/** @type {number} */ head) => `第 ${head} 头`,
    columns: { token: "键", dot: "q·k", scaled: "缩放后", softcap: "软上限", position_bias: "位置偏置", score: "分数", weight: "权重", value_norm: "‖权重·v‖", output_norm: "‖权重·v·W_O‖" },
    table: "逐维的数值",
    more: (/** @type {number} */ count, /** @type {string} */ weight) => `其余 ${count} 个键的权重共 ${weight}：全部显示`,
    less: "只显示权重最大的键",
    note: (/** @type {string} */ difference, /** @type {string} */ megabytes) =>
      `由本页用 float16 的 q、k、v 算出；本行权重与模型自身的权重最多相差 ${difference}。` +
      `这些步骤占本页 ${megabytes} MB，用 --no-steps 可以省去。`,
    below: "不到 0.00001",
    space: "",
    comma: "，",
    colon: "：",
    translated: /** @type {[RegExp, string][]} */ ([
      [/^rotated by its position$/, "按位置旋转"],
      [/^times /, "乘以 "],
      [/^after /, "经过 "],
    ]),
  },
};

/** @typedef {typeof WORDING.en} Words */

/** The steps from a token's vector to q, k or v, as `trace` names them. @param {string[]} steps @param {Words} words */
function madeBy(steps, words) {
  return steps.map((step) => words.translated.reduce((text, [from, to]) => text.replace(from, to), step)).join(words.comma);
}
