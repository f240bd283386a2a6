// A TCP proxy on loopback that makes a server far away: see distance_proxy.py, which compiles and runs it.
//
// usage: distance_proxy TARGET_PORT ROUND_TRIP_MS MEGABYTES_PER_SECOND
//
// It prints the port that it listens on. A connection costs one round trip to open, each direction is delayed by half
// a round trip, and each direction of each connection carries at most the given throughput (0: no limit). It answers
// each line on its standard input with figures since the last one, and ends where that ends.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define KIB 1024.0
#define MIB (1024 * KIB)
#define NOWHERE SIZE_MAX

enum kind { OPEN, DATA, END, RESET };
enum side { CLIENT, SERVER };

// What travels: bytes, or an event that must not overtake them.
struct piece {
    struct piece *next;
    double due;
    enum kind kind;
    size_t start, end;
    bool whole; // of full capacity, so that it can be used again
    char bytes[];
};

// From one side's socket to the other's.
struct direction {
    struct connection *connection;
    enum side from;
    int fd;          // of `from`
    uint32_t events; // what epoll watches `fd` for
    struct piece *first, *last;
    size_t queued;   // bytes
    double free_at;  // when the path has taken all that came
    size_t place;    // in the heap
    bool reading;    // the queue has room
    bool ended;      // nothing more comes
    bool closed;     // nothing more goes out
    bool blocked;    // the other side takes nothing at the moment
};

struct connection {
    struct direction directions[2];
    struct connection *next_dead;
    unsigned long used_in; // the count of questions when it last carried something
    bool connecting, dead;
};

static double round_trip, bytes_per_second; // 0: no limit
static size_t capacity, most_queued;
static int epoll, listener, timer;
static uint16_t target;
static struct direction **heap;
static size_t heap_size, heap_room;
static struct piece *spare;
static struct connection *dead;
static unsigned long questions = 1, connections, most_connections, used;
static unsigned long long carried;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

// A heap of the directions by when their first pieces are due.

static void put_at(size_t place, struct direction *direction) {
    heap[place] = direction;
    direction->place = place;
}

static void sift(size_t place) {
    struct direction *moved = heap[place];
    for (size_t up; place && moved->first->due < heap[up = (place - 1) / 2]->first->due; place = up)
        put_at(place, heap[up]);
    for (size_t down; (down = 2 * place + 1) < heap_size; place = down) {
        if (down + 1 < heap_size && heap[down + 1]->first->due < heap[down]->first->due)
            down++;
        if (moved->first->due <= heap[down]->first->due)
            break;
        put_at(place, heap[down]);
    }
    put_at(place, moved);
}

static void leave_heap(struct direction *direction) {
    size_t place = direction->place;
    if (place == NOWHERE)
        return;
    direction->place = NOWHERE;
    struct direction *last = heap[--heap_size];
    if (last == direction)
        return;
    put_at(place, last);
    sift(place);
}

static void enter_heap(struct direction *direction) {
    if (direction->place != NOWHERE || !direction->first || direction->blocked)
        return;
    if (heap_size == heap_room) {
        heap_room = heap_room ? 2 * heap_room : 256;
        heap = realloc(heap, heap_room * sizeof *heap);
        if (!heap)
            fail("realloc");
    }
    put_at(heap_size, direction);
    sift(heap_size++);
}

// Pieces. One that is much smaller than its room is copied into one that fits, so that the queues' bytes bound memory.

static struct piece *new_piece(size_t room) {
    struct piece *piece = malloc(sizeof *piece + room);
    if (!piece)
        fail("malloc");
    *piece = (struct piece){.whole = room == capacity};
    return piece;
}

static struct piece *empty_piece(void) {
    struct piece *piece = spare;
    if (!piece)
        return new_piece(capacity);
    spare = piece->next;
    *piece = (struct piece){.whole = true};
    return piece;
}

static void free_piece(struct piece *piece) {
    if (!piece->whole) {
        free(piece);
        return;
    }
    piece->next = spare;
    spare = piece;
}

static struct piece *fitting(struct piece *piece) {
    if (piece->end > capacity / 4)
        return piece;
    struct piece *small = new_piece(piece->end);
    small->end = piece->end;
    memcpy(small->bytes, piece->bytes, piece->end);
    free_piece(piece);
    return small;
}

static void push(struct direction *direction, enum kind kind, struct piece *piece, double delay) {
    double time = now();
    if (direction->free_at < time)
        direction->free_at = time;
    if (bytes_per_second)
        direction->free_at += (double)piece->end / bytes_per_second;
    piece->kind = kind;
    piece->due = direction->free_at + delay;
    if (direction->first)
        direction->last->next = piece;
    else
        direction->first = piece;
    direction->last = piece;
    direction->queued += piece->end;
    enter_heap(direction);
}

static void drop_queue(struct direction *direction) {
    leave_heap(direction);
    for (struct piece *piece; (piece = direction->first);) {
        direction->first = piece->next;
        free_piece(piece);
    }
    direction->queued = 0;
}

// Connections.

static void watch(struct connection *connection, enum side side) {
    struct direction *in = &connection->directions[side], *out = &connection->directions[!side];
    if (in->fd < 0)
        return;
    if (in->reading ? in->queued >= most_queued : in->queued <= most_queued * 3 / 4)
        in->reading = !in->reading;
    bool open = connection->directions[SERVER].fd >= 0 && !connection->connecting;
    uint32_t events = (open && in->reading && !in->ended ? EPOLLIN : 0) |
                      (out->blocked || (side == SERVER && connection->connecting) ? EPOLLOUT : 0);
    if (events == in->events)
        return;
    // A socket that nothing is wanted of would report its hang-up again and again.
    int change = !in->events ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    if (epoll_ctl(epoll, change, in->fd, &(struct epoll_event){.events = events, .data.ptr = in}))
        fail("epoll_ctl");
    in->events = events;
}

static void destroy(struct connection *connection, bool reset) {
    if (connection->dead)
        return;
    connection->dead = true;
    for (int side = CLIENT; side <= SERVER; side++) {
        struct direction *direction = &connection->directions[side];
        drop_queue(direction);
        if (direction->fd < 0)
            continue;
        if (reset)
            setsockopt(direction->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        close(direction->fd);
    }
    connections--;
    // Events of it may still be in the batch at hand.
    connection->next_dead = dead;
    dead = connection;
}

static void prepare(int fd) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static void dial(struct connection *connection) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    prepare(fd);
    if (bytes_per_second)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){(int)(256 * KIB)}, sizeof(int));
    connection->directions[SERVER].fd = fd;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(target)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
        if (errno != EINPROGRESS) {
            destroy(connection, true);
            return;
        }
        connection->connecting = true;
    }
}

static void accept_all(void) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        prepare(fd);
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection)
            fail("calloc");
        for (int side = CLIENT; side <= SERVER; side++)
            connection->directions[side] = (struct direction){
                .connection = connection, .from = side, .fd = side == CLIENT ? fd : -1, .place = NOWHERE, .reading = true};
        if (++connections > most_connections)
            most_connections = connections;
        push(&connection->directions[CLIENT], OPEN, new_piece(0), round_trip);
    }
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
        fail("accept");
}

static void read_piece(struct direction *direction) {
    struct piece *piece = empty_piece();
    ssize_t length = recv(direction->fd, piece->bytes, capacity, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) {
        free_piece(piece);
        return;
    }
    if (length > 0) {
        struct connection *connection = direction->connection;
        used += connection->used_in != questions;
        connection->used_in = questions;
        carried += (unsigned long long)length;
        piece->end = (size_t)length;
        push(direction, DATA, fitting(piece), round_trip / 2);
    } else {
        direction->ended = true;
        push(direction, length ? RESET : END, fitting(piece), round_trip / 2);
    }
}

// The receiver is gone: what comes is dropped, and the sender hears of it as late as over a real path.
static void lose(struct direction *direction) {
    struct direction *back = &direction->connection->directions[!direction->from];
    drop_queue(direction);
    direction->ended = direction->closed = back->ended = true;
    push(back, RESET, new_piece(0), round_trip / 2);
}

static bool send_piece(struct direction *direction, struct piece *piece) {
    int fd = direction->connection->directions[!direction->from].fd;
    ssize_t length = send(fd, piece->bytes + piece->start, piece->end - piece->start, MSG_NOSIGNAL);
    if (length < 0 && errno != EAGAIN && errno != EINTR) {
        lose(direction);
        return false;
    }
    if (length > 0) {
        piece->start += (size_t)length;
        direction->queued -= (size_t)length;
    }
    if (piece->start == piece->end)
        return true;
    direction->blocked = true;
    leave_heap(direction);
    return false;
}

static bool deliver_one(struct direction *direction) {
    struct connection *connection = direction->connection;
    struct piece *piece = direction->first;
    switch (piece->kind) {
    case OPEN:
        dial(connection);
        break;
    case DATA:
        if (!send_piece(direction, piece))
            return false;
        break;
    case END:
        shutdown(connection->directions[!direction->from].fd, SHUT_WR);
        direction->closed = true;
        if (connection->directions[!direction->from].closed)
            destroy(connection, false);
        break;
    case RESET:
        destroy(connection, true);
    }
    if (connection->dead)
        return false;
    leave_heap(direction);
    direction->first = piece->next;
    free_piece(piece);
    return true;
}

static void deliver(struct direction *direction, double time) {
    struct connection *connection = direction->connection;
    if (connection->connecting)
        direction->blocked = true;
    while (!direction->blocked && direction->first && direction->first->due <= time)
        if (!deliver_one(direction))
            break;
    if (connection->dead)
        return;
    if (direction->blocked)
        leave_heap(direction);
    else
        enter_heap(direction);
    watch(connection, CLIENT);
    watch(connection, SERVER);
}

static void on_socket(struct direction *direction, uint32_t events) {
    struct connection *connection = direction->connection;
    if (connection->dead)
        return;
    struct direction *out = &connection->directions[!direction->from];
    if (direction->events & EPOLLOUT && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        // Of a connection that failed, the first send or receive says so.
        connection->connecting = out->blocked = false;
        deliver(out, now());
    }
    if (!connection->dead && direction->events & EPOLLIN && events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        read_piece(direction);
        deliver(direction, now());
    }
}

static void answer(void) {
    char line[256];
    if (read(STDIN_FILENO, line, sizeof line) <= 0)
        exit(0);
    unsigned long counted = used < most_connections ? used : most_connections;
    printf("{\"connections\": %lu, \"bytes\": %llu}\n", counted, carried);
    fflush(stdout);
    questions++;
    used = 0;
    carried = 0;
    most_connections = connections;
}

static void listen_anywhere(void) {
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bytes_per_second)
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &(int){(int)(256 * KIB)}, sizeof(int));
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &length))
        fail("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

static void wait_until(double due) {
    struct itimerspec when = {0};
    if (due) {
        when.it_value.tv_sec = (time_t)due;
        when.it_value.tv_nsec = (long)((due - (double)when.it_value.tv_sec) * 1e9) + 1;
        if (when.it_value.tv_nsec > 999999999)
            when.it_value.tv_nsec = 999999999;
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void bury(void) {
    for (struct connection *connection; (connection = dead);) {
        dead = connection->next_dead;
        free(connection);
    }
}

static void serve(void) {
    struct epoll_event events[256];
    double armed = -1;
    for (;;) {
        double next = heap_size ? heap[0]->first->due : 0;
        if (next != armed)
            wait_until(armed = next);
        int count = epoll_wait(epoll, events, 256, -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int index = 0; index < count; index++) {
            void *what = events[index].data.ptr;
            if (what == &listener)
                accept_all();
            else if (what == &timer)
                armed = -1;
            else if (what == stdin)
                answer();
            else
                on_socket(what, events[index].events);
        }
        for (double time = now(); heap_size && heap[0]->first->due <= time;)
            deliver(heap[0], time);
        bury();
    }
}

int main(int count, char **given) {
    if (count != 4) {
        fprintf(stderr, "usage: %s TARGET_PORT ROUND_TRIP_MS MEGABYTES_PER_SECOND\n", given[0]);
        return 2;
    }
    target = (uint16_t)atoi(given[1]);
    round_trip = atof(given[2]) / 1e3;
    bytes_per_second = atof(given[3]) * 1e6;
    // What the path takes in 2 ms, so that it flows evenly; and at most what is on the way in a round trip.
    double at_once = bytes_per_second ? bytes_per_second * 0.002 : 256 * KIB;
    capacity = (size_t)(at_once < 8 * KIB ? 8 * KIB : at_once > 256 * KIB ? 256 * KIB : at_once);
    most_queued = 2 * capacity + (size_t)((bytes_per_second ? bytes_per_second : 1e9) * round_trip);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    listen_anywhere();
    struct { int fd; void *what; } watched[] = {{listener, &listener}, {timer, &timer}, {STDIN_FILENO, stdin}};
    for (int index = 0; index < 3; index++)
        // What is no pipe, such as /dev/null, cannot be watched, and never ends.
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, watched[index].fd,
                      &(struct epoll_event){.events = EPOLLIN, .data.ptr = watched[index].what}) && index < 2)
            fail("epoll_ctl");
    serve();
}
