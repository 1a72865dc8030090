// Floor: forward 8 bytes a pixel read and, where a gradient will be wanted, 4 written; backward 4
// read and 4 written (float32), and about 65 operations a pixel, see cpu/focal_loss.h. Not yet
// measured on a GPU.
//
// Each thread takes four neighbouring pixels by accesses of 16 bytes (8 where they are 16-bit
// numbers). A block adds up its losses in float64 and writes their sum; one block more adds those.
#include "cuda/focal_loss.h"

#include "cuda/quad.h"

namespace fastcount::cuda {
namespace {

// What is the same for every pixel.
template <typename C>
struct FocalPlan {
  FocalForm form;
  FocalPoly poly;
  FocalClamp<C> clamp;
  FocalPower power;
  Exponent beta;
  C gamma;
};

template <bool kLogits, typename T>
__global__ void __launch_bounds__(kMapThreads)
    focal_kernel(const T* pred, const compute_t<T>* target, const bool* mask, std::int64_t count,
                 FocalPlan<compute_t<T>> plan, compute_t<T>* slopes, compute_t<T>* values,
                 SumPair* sums) {
  using C = compute_t<T>;
  SumPair sum{0.0, 0.0};
  for (std::int64_t i = first_quad(); i < count; i += quad_step()) {
    Quad<T> p{};
    Quad<C> t{};
    Quad<bool> m{};
    load_quad(pred, i, count, p);
    load_quad(target, i, count, t);
    if (mask != nullptr) load_quad(mask, i, count, m);
    Quad<C> slope{};
    Quad<C> value{};
    for (int k = 0; k < kQuad; ++k) {
      const bool inside = mask != nullptr ? m.at[k] : t.at[k] > C(0);
      const FocalTarget<C> at = focal_target(plan.form, t.at[k], inside);
      const FocalError<C> error =
          focal_error<kLogits>(static_cast<C>(to_compute(p.at[k])), at.goal, plan.clamp);
      const C raised = power(error.d, plan.power.exponent);
      const C lowered = plan.power.divide ? focal_divided(raised, error.d) : raised;
      const FocalLoss<C> loss =
          focal_pixel(plan.poly, error.d, error.c, power(at.base, plan.beta), lowered, plan.gamma);
      value.at[k] = loss.value;
      slope.at[k] = loss.slope * error.slope;
      if (i + k < count) {
        sum.first += static_cast<double>(loss.value);
        sum.second += t.at[k] == C(1) ? 1.0 : 0.0;
      }
    }
    if (slopes != nullptr) store_quad(slopes, i, count, slope);
    if (values != nullptr) store_quad(values, i, count, value);
  }
  sum = block_sum<kMapThreads>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One block: the sums of the blocks, alpha / N, and the loss where it is one number.
template <typename C>
__global__ void __launch_bounds__(kMapThreads)
    total_kernel(const SumPair* sums, int blocks, double alpha, double normalizer, C* weight,
                 C* loss) {
  SumPair sum{0.0, 0.0};
  for (int i = static_cast<int>(threadIdx.x); i < blocks; i += kMapThreads) {
    sum.first += sums[i].first;
    sum.second += sums[i].second;
  }
  sum = block_sum<kMapThreads>(sum);
  if (threadIdx.x != 0) return;
  const double divisor = normalizer > 0.0 ? normalizer : (sum.second > 1.0 ? sum.second : 1.0);
  *weight = static_cast<C>(alpha / divisor);
  if (loss != nullptr) *loss = static_cast<C>(alpha / divisor * sum.first);
}

// In place where `out` is `slopes`; grads may be null: all 1.
template <typename T>
__global__ void __launch_bounds__(kMapThreads)
    scale_kernel(const compute_t<T>* slopes, const compute_t<T>* grads, bool single,
                 const compute_t<T>* weight, std::int64_t count, T* out) {
  using C = compute_t<T>;
  const C factor = single && grads != nullptr ? *weight * grads[0] : *weight;
  for (std::int64_t i = first_quad(); i < count; i += quad_step()) {
    Quad<C> slope{};
    Quad<C> grad{};
    Quad<T> result{};
    load_quad(slopes, i, count, slope);
    if (!single) load_quad(grads, i, count, grad);
    for (int k = 0; k < kQuad; ++k) {
      result.at[k] = from_compute<T>(slope.at[k] * (single ? factor : factor * grad.at[k]));
    }
    store_quad(out, i, count, result);
  }
}

template <typename T>
cudaError_t run(const FocalMaps& maps, const FocalOptions& options, double alpha, double normalizer,
                const FocalResults& results, SumPair* scratch, cudaStream_t stream) {
  using C = compute_t<T>;
  const FocalPlan<C> plan{options.form,
                          options.poly,
                          make_focal_clamp<C>(options),
                          make_focal_power(options.gamma),
                          make_exponent(options.beta),
                          static_cast<C>(options.gamma)};
  const unsigned blocks = map_blocks(maps.count);
  const T* pred = static_cast<const T*>(maps.pred);
  const C* target = static_cast<const C*>(maps.target);
  C* slope = static_cast<C*>(results.slope);
  C* loss = static_cast<C*>(results.loss);
  C* weight = static_cast<C*>(results.weight);
  C* values = results.values ? loss : nullptr;
  cudaError_t error = options.logits
                          ? LAUNCH((focal_kernel<true, T>), blocks, kMapThreads, 0, stream, pred,
                                   target, maps.mask, maps.count, plan, slope, values, scratch)
                          : LAUNCH((focal_kernel<false, T>), blocks, kMapThreads, 0, stream, pred,
                                   target, maps.mask, maps.count, plan, slope, values, scratch);
  if (error != cudaSuccess) return error;
  C* total = results.values ? nullptr : loss;
  error = LAUNCH((total_kernel<C>), 1, kMapThreads, 0, stream, scratch, static_cast<int>(blocks),
                 alpha, normalizer, weight, total);
  if (error != cudaSuccess || !results.values) return error;
  const C* none = nullptr;
  return LAUNCH((scale_kernel<C>), blocks, kMapThreads, 0, stream, loss, none, true, weight,
                maps.count, loss);
}

}  // namespace

std::int64_t focal_loss_scratch(std::int64_t count) { return map_blocks(count); }

cudaError_t focal_loss(const FocalMaps& maps, const FocalOptions& options, double alpha,
                       double normalizer, const FocalResults& results, SumPair* scratch,
                       cudaStream_t stream) {
  return visit_number(maps.number, [&](auto zero) {
    return run<decltype(zero)>(maps, options, alpha, normalizer, results, scratch, stream);
  });
}

cudaError_t focal_loss_backward(const void* grads, bool single, const void* slope,
                                const void* weight, std::int64_t count, Number number, void* out,
                                cudaStream_t stream) {
  return visit_number(number, [&](auto zero) {
    using T = decltype(zero);
    using C = compute_t<T>;
    return LAUNCH((scale_kernel<T>), map_blocks(count), kMapThreads, 0, stream,
                  static_cast<const C*>(slope), static_cast<const C*>(grads), single,
                  static_cast<const C*>(weight), count, static_cast<T*>(out));
  });
}

}  // namespace fastcount::cuda
