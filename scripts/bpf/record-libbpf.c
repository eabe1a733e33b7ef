/*
 * What libbpf makes of an object, as JSON: instructions after relocation, and maps. No program is loaded: bpf(2) is answered here.
 *
 *   record-libbpf OBJECT BTF KALLSYMS VERSION
 *
 * Built by record-libbpf.ts with libbpf's own objects; the linker's --wrap puts the functions below in place of what asks the running kernel.
 */
#define _GNU_SOURCE
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *btf_path, *kallsyms_path;
static unsigned int kernel_version;

static int some_fd(void)
{
	int fd = memfd_create("bpf", 0);

	if (fd >= 0 && ftruncate(fd, 64 << 20))
		return -1;
	return fd;
}

/* Sizes of maps by inode, which a descriptor that is moved keeps: what is put into a map can be read through its memory. */
static struct {
	ino_t inode;
	unsigned int value_size;
} maps[4096];
static int map_count;

static ino_t inode_of(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) ? 0 : stat.st_ino;
}

static int new_map(const union bpf_attr *attr)
{
	int fd = some_fd();

	if (map_count < 4096)
		maps[map_count++] = (typeof(maps[0])){ inode_of(fd), attr->value_size };
	return fd;
}

static int update(const union bpf_attr *attr)
{
	for (int i = 0; i < map_count; i++)
		if (maps[i].inode == inode_of(attr->map_fd))
			return pwrite(attr->map_fd, (void *)(long)attr->value, maps[i].value_size, 0) < 0;
	return 0;
}

long syscall(long number, ...)
{
	long a[6], result;
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == __NR_bpf) {
		switch (a[0]) {
		case BPF_MAP_CREATE:
			return new_map((void *)a[1]);
		case BPF_MAP_UPDATE_ELEM:
			return update((void *)a[1]);
		case BPF_PROG_LOAD:
		case BPF_BTF_LOAD:
		case BPF_LINK_CREATE:
			return some_fd();
		case BPF_BTF_GET_NEXT_ID:
		case BPF_OBJ_GET:
			errno = ENOENT;
			return -1;
		default:
			return 0;
		}
	}
	register long r10 asm("r10") = a[3];
	register long r8 asm("r8") = a[4];
	register long r9 asm("r9") = a[5];
	asm volatile("syscall"
		     : "=a"(result)
		     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	if (result < 0 && result > -4096) {
		errno = -result;
		return -1;
	}
	return result;
}

struct btf *__wrap_btf__load_vmlinux_btf(void)
{
	return btf__parse(btf_path, NULL);
}

unsigned int __wrap_get_kernel_version(void)
{
	return kernel_version;
}

FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode)
{
	return __real_fopen64(strcmp(path, "/proc/kallsyms") ? path : kallsyms_path, mode);
}

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
	return __real_fopen(strcmp(path, "/proc/kallsyms") ? path : kallsyms_path, mode);
}

static int print_nothing(enum libbpf_print_level level, const char *format, va_list list)
{
	return getenv("VERBOSE") ? vfprintf(stderr, format, list) : 0;
}

static struct bpf_object *open_object(const char *path)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = btf_path);

	return bpf_object__open_file(path, &options);
}

static int map_index(struct bpf_object *object, int fd)
{
	struct bpf_map *map;
	int index = 0;

	bpf_object__for_each_map(map, object) {
		if (bpf_map__fd(map) == fd)
			return index;
		index++;
	}
	return -1;
}

static void print_program(struct bpf_object *object, struct bpf_program *program, int error)
{
	const struct bpf_insn *insns = bpf_program__insns(program);
	size_t count = bpf_program__insn_cnt(program);

	printf("{\"section\":\"%s\",\"name\":\"%s\",", bpf_program__section_name(program), bpf_program__name(program));
	if (error) {
		printf("\"error\":%d}", -error);
		return;
	}
	printf("\"bytecode\":\"");
	for (size_t i = 0; i < count; i++) {
		struct bpf_insn insn = insns[i];
		/* A map's number instead of its descriptor. */
		if (insn.code == (BPF_LD | BPF_IMM | BPF_DW) &&
		    (insn.src_reg == BPF_PSEUDO_MAP_FD || insn.src_reg == BPF_PSEUDO_MAP_VALUE)) {
			insn.src_reg = insn.src_reg == BPF_PSEUDO_MAP_FD ? BPF_PSEUDO_MAP_IDX : BPF_PSEUDO_MAP_IDX_VALUE;
			insn.imm = map_index(object, insn.imm);
		}
		for (size_t k = 0; k < sizeof(insn); k++)
			printf("%02x", ((unsigned char *)&insn)[k]);
	}
	printf("\"}");
}

static void print_maps(struct bpf_object *object)
{
	const char *between = "";
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		size_t size = 0;
		const unsigned char *initial = bpf_map__initial_value(map, &size);

		printf("%s{\"name\":\"%s\",\"type\":%d,\"keySize\":%u,\"valueSize\":%u,\"maxEntries\":%u,\"flags\":%u,\"initial\":\"",
		       between, bpf_map__name(map), bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map),
		       bpf_map__max_entries(map), bpf_map__map_flags(map));
		for (size_t i = 0; i < size; i++)
			printf("%02x", initial[i]);
		printf("\"}");
		between = ",";
	}
}

int main(int argc, char **argv)
{
	const char *between = "";
	struct bpf_program *program;
	struct bpf_object *object;

	if (argc != 5)
		return 2;
	btf_path = argv[2];
	kallsyms_path = argv[3];
	kernel_version = strtoul(argv[4], NULL, 0);
	libbpf_set_print(print_nothing);
	object = open_object(argv[1]);
	if (!object) {
		printf("{\"error\":%d}\n", errno);
		return 0;
	}
	printf("{\"programs\":[");
	bpf_object__for_each_program(program, object) {
		struct bpf_object *own = open_object(argv[1]);
		struct bpf_program *each, *loaded = NULL;

		bpf_object__for_each_program(each, own) {
			int is_this = !strcmp(bpf_program__name(each), bpf_program__name(program));

			bpf_program__set_autoload(each, is_this);
			if (is_this)
				loaded = each;
		}
		printf("%s", between);
		print_program(own, loaded, bpf_object__load(own));
		between = ",";
		bpf_object__close(own);
	}
	bpf_object__for_each_program(program, object)
		bpf_program__set_autoload(program, 0);
	printf("],\"mapsError\":%d,\"maps\":[", -bpf_object__load(object));
	print_maps(object);
	printf("]}\n");
	return 0;
}
