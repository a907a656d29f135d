// What a step tells the host, and the sticky stop: once `stopped` is 1, AdamW writes nothing any more.
struct TrainState {
  loss: f32,             // mean over the labels of the whole batch
  grad_norm: f32,        // global L2 norm before clipping
  clip_scale: f32,       // min(1, clip / (norm + 1e-6))
  non_finite: u32,       // gradient elements that are not finite, this step
  stopped: u32,          // sticky
  stopped_step: u32,     // optimizer step (from 1) at which it stopped
  stopped_at: u32,       // lowest element index of the parameter set that was not finite then
  stopped_count: u32,    // how many there were
}
