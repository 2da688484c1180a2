/* Preloaded into a server, it moves the server's wall clock by what the file named in SHIFTED_CLOCK holds: eight bytes,
 * nanoseconds in the machine's order, mapped, so that a change counts at once. The monotonic clock stays real. It asks
 * the kernel, not the C library, because jemalloc asks for the time before the C library is ready. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *shift;

__attribute__((constructor)) static void map(void) {
	const char *name = getenv("SHIFTED_CLOCK");
	int file = name ? open(name, O_RDONLY) : -1;
	void *page = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
	if (page == MAP_FAILED)
		_exit(111);
	close(file);
	shift = page;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
	int failed = syscall(SYS_clock_gettime, clock, now);
	if (failed || !shift || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
		return failed;
	int64_t nanos = now->tv_sec * 1000000000LL + now->tv_nsec + *shift;
	now->tv_sec = nanos / 1000000000LL;
	now->tv_nsec = nanos % 1000000000LL;
	return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
	struct timespec exact;
	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &exact))
		return -1;
	now->tv_sec = exact.tv_sec;
	now->tv_usec = exact.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *seconds) {
	struct timespec exact;
	if (clock_gettime(CLOCK_REALTIME, &exact))
		return -1;
	if (seconds)
		*seconds = exact.tv_sec;
	return exact.tv_sec;
}
