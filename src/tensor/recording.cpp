#include "tensor/recording.h"

#include "tensor/checked.h"
#include "tensor/device.h"

namespace motley {
namespace {

template <class... F>
struct Cases : F... {
  using F::operator()...;
};
template <class... F>
Cases(F...) -> Cases<F...>;  // which some compilers cannot tell by themselves

}  // namespace

Recording::Recording(Stream& s, const std::function<void()>& work, const Recording* lender)
    : stream_(s) {
  Recorder recorder(*this);
  s.record(recorder, work);
  recorder.finish(s.device().pool(), {.allocation = s.device().info().max_allocation}, lender);
}

void Recording::replay(const std::function<void(const HostCall&)>& on_call) const {
  Stream& s = stream_;
  const Cases run{
      [&](const Launch& launch) { s.run(launch); },
      [&](const Copy& copy) { s.run_copy(places_[copy.to], places_[copy.from], copy.bytes); },
      [&](const Fill& fill) {
        s.run_fill(places_[fill.to], fill.bytes, fill.element, fill.pattern);
      },
      [&](const Foreign& foreign) {
        s.run_foreign(foreign.name, foreign.work, foreign.enqueue,
                      std::span(places_).subspan(foreign.first_place, foreign.num_places));
      },
      [&](const HostCall& call) {
        if (on_call) on_call(call);
      },
  };
  for (const Command& command : commands_) std::visit(run, command);
}

std::size_t Recording::memory_bytes() const {
  std::size_t bytes = 0;
  for (const auto& arena : arenas_) bytes += arena->bytes();
  return bytes;
}

Recorder::Recorder(Recording& recording)
    : recording_(recording), lives_(std::make_shared<BlockLives>()) {}

Tensor Recorder::tensor(const Shape& shape, Dtype dtype) {
  const std::size_t bytes = checked_mul(shape.size(), size_of(dtype));
  return {std::make_shared<const Lease>(lives_, lives_->begin(bytes), bytes), 0, shape, dtype};
}

cl_kernel Recorder::own(cl::Kernel kernel) {
  return recording_.kernels_.emplace_back(std::move(kernel))();
}

bool Recorder::set_later(cl_kernel kernel, cl_uint index, const Tensor& tensor) {
  const auto block = tensor.lease()->block();
  if (!block) {
    recording_.kept_.insert(tensor.lease());
    return false;
  }
  late_arguments_.push_back({kernel, index, *block, tensor.offset(), size_of(tensor.dtype())});
  return true;
}

void Recorder::add(Recording::Command command) {
  recording_.commands_.push_back(std::move(command));
  lives_->advance();
}

void Recorder::add(const Launch& launch) {
  add(Recording::Command(launch));
}

void Recorder::add(const HostCall& call) {
  add(Recording::Command(call));
}

std::size_t Recorder::place_of(const Tensor& tensor) {
  const std::size_t offset = tensor.offset() * size_of(tensor.dtype());
  const std::size_t place = recording_.places_.size();
  if (const auto block = tensor.lease()->block()) {
    recording_.places_.push_back({nullptr, offset});
    late_places_.push_back({place, *block});
  } else {
    recording_.places_.push_back({tensor.mem(), offset});
    recording_.kept_.insert(tensor.lease());
  }
  return place;
}

void Recorder::add_copy(const Tensor& to, const Tensor& from) {
  const std::size_t place = place_of(to);
  add(Recording::Copy{place, place_of(from), to.bytes()});
}

void Recorder::add_fill(const Tensor& to, std::uint32_t pattern) {
  add(Recording::Fill{place_of(to), to.bytes(), size_of(to.dtype()), pattern});
}

void Recorder::add_foreign(const char* name, const Work& work,
                           std::span<const Tensor* const> tensors, ForeignWork enqueue) {
  const std::size_t first = recording_.places_.size();
  for (const Tensor* tensor : tensors) place_of(*tensor);
  add(Recording::Foreign{name, work, std::move(enqueue), first, tensors.size()});
}

void Recorder::finish(MemoryPool& pool, const ArenaLimits& limits, const Recording* lender) {
  const MemoryPlan plan = plan_memory(lives_->blocks(), limits);
  for (std::size_t i = 0; i < plan.arenas.size(); ++i) {
    const bool is_lent = lender != nullptr && i < lender->arenas_.size() &&
                         lender->arenas_[i]->bytes() >= plan.arenas[i];
    recording_.arenas_.push_back(is_lent ? lender->arenas_[i] : pool.lease(plan.arenas[i]));
  }
  const auto memory_of = [&](std::size_t block) {
    return recording_.arenas_[plan.blocks[block].arena]->buffer()();
  };
  for (const LateArgument& late : late_arguments_) {
    cl_mem memory = memory_of(late.block);
    const cl_ulong offset = plan.blocks[late.block].offset / late.element + late.offset;
    check_cl(clSetKernelArg(late.kernel, late.index, sizeof(cl_mem), &memory), "clSetKernelArg");
    check_cl(clSetKernelArg(late.kernel, late.index + 1, sizeof offset, &offset), "clSetKernelArg");
  }
  for (const LatePlace& late : late_places_) {
    MemoryPlace& place = recording_.places_[late.place];
    place = {memory_of(late.block), plan.blocks[late.block].offset + place.offset};
  }
}

}  // namespace motley
