// SPDX-License-Identifier: Apache-2.0
#include "watched_calls.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#define SYNFIN_ALLOCATOR_IS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SYNFIN_ALLOCATOR_IS_ASAN 1
#endif
#endif

#ifdef SYNFIN_ALLOCATOR_IS_ASAN
#include <sanitizer/allocator_interface.h>
#endif

namespace synfin {
namespace {

bool watching = false;
Watched* watched = nullptr;  // shared with the parent

void notice(std::size_t octets) {
  if (!watching) return;
  if (watched->allocations++ == 0) watched->first_allocation = octets;
}

void on_system_call(int, siginfo_t* info, void*) {
  if (watched->system_calls++ == 0) watched->first_system_call = info->si_syscall;
}

// What ends the process and what ends the handler may pass.
bool trap_system_calls() {
  struct sigaction action {};
  action.sa_sigaction = on_system_call;
  action.sa_flags = SA_SIGINFO;
  if (::sigaction(SIGSYS, &action, nullptr) != 0) return false;
  std::array<sock_filter, 5> filter{{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, SYS_exit_group},
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SYS_rt_sigreturn},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }};
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

// For the allocator's own entry points below.
void notice_allocation(std::size_t octets) {
  notice(octets);
}

std::optional<Watched> watch(const std::function<Path()>& prepare, std::string& why) {
  constexpr int kNoSeccomp = 3;
  void* const shared =
      ::mmap(nullptr, sizeof(Watched), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    why = "no shared memory";
    return std::nullopt;
  }
  watched = new (shared) Watched{};
  const pid_t child = ::fork();
  if (child == 0) {
#ifdef SYNFIN_ALLOCATOR_IS_ASAN
    (void)__sanitizer_install_malloc_and_free_hooks(
        [](const volatile void*, std::size_t octets) { notice(octets); }, [](const volatile void*) {});
#endif
    const Path path = prepare();
    if (!trap_system_calls()) ::_exit(kNoSeccomp);
    watching = true;
    const bool good = path();
    watching = false;
    watched->good = good;
    ::_exit(0);
  }
  int status = 0;
  const bool ended = child > 0 && ::waitpid(child, &status, 0) == child;
  const Watched result = *watched;
  (void)::munmap(shared, sizeof(Watched));
  if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 0) return result;
  why = ended && WIFEXITED(status) && WEXITSTATUS(status) == kNoSeccomp
            ? std::string{"this system has no seccomp filters"}
            : "the watched process ended with status " + std::to_string(status);
  return std::nullopt;
}

}  // namespace synfin

#ifndef SYNFIN_ALLOCATOR_IS_ASAN
// glibc's own names for what stands behind malloc; operator new comes through here, too.
namespace synfin {
void notice_allocation(std::size_t octets);
}
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) {
  synfin::notice_allocation(size);
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  synfin::notice_allocation(count * size);
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  synfin::notice_allocation(size);
  return __libc_realloc(old, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  synfin::notice_allocation(size);
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  synfin::notice_allocation(size);
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** into, std::size_t alignment, std::size_t size) {
  synfin::notice_allocation(size);
  *into = __libc_memalign(alignment, size);
  return *into == nullptr ? ENOMEM : 0;
}
}
#endif
