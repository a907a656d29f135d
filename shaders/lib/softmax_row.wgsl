// What is known of a row of logits after some columns of its vocabulary: softmax(v) = exp(z[v] - top) / total.
struct SoftmaxRow { top: f32, total: f32, label_logit: f32 }
