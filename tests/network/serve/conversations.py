# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: E501 - a step is read more easily in one line
"""Conversations that memcached 1.6.18 and ``serve`` answer with the same bytes.

Each is a name and the steps of the client.  A step is whole commands, but for the last one, behind
which the client says no more.  ``<0>`` is the first token that an answer had, ``<1>`` the second.
"""

from __future__ import annotations

BIG = (1 << 20) - 70  # bytes of a value that is about as long as may be

CONVERSATIONS: dict[str, list[bytes]] = {
    # ---- storing and reading
    "set and get": [b"set k 7 0 5\r\nhello\r\n", b"get k\r\n", b"gets k\r\n", b"get none\r\n"],
    "many keys": [
        b"set a 1 0 1\r\n1\r\nset b 2 0 2\r\n22\r\n",
        b"get a b c\r\nget c c\r\nget  a   b \r\ngets b a\r\n",
        b"get " + b" ".join(b"k%d" % i for i in range(60)) + b" a b\r\n",
        b"get " + b" ".join(b"key-%d" % i for i in range(600)) + b" b\r\n",
        b"bget a\r\n",
    ],
    "empty value": [b"set e 0 0 0\r\n\r\nget e\r\nappend e 0 0 1\r\nx\r\nget e\r\n"],
    "binary value": [b"set v 0 0 9\r\na\r\n\0\xffget\r\nget v\r\n"],
    "flags": [
        b"set f 4294967295 0 1\r\nx\r\nget f\r\nset f 4294967296 0 1\r\nx\r\nget f\r\n",
        b"set f -1 0 1\r\n",
        b"set f x 0 1\r\nset f 18446744073709551616 0 1\r\nset f +7 0 1\r\nx\r\nget f\r\n",
        b"set f -18446744073709551615 0 1\r\nx\r\nget f\r\n",
    ],
    "add and replace": [
        b"replace k 0 0 1\r\n1\r\nadd k 0 0 1\r\n2\r\nadd k 0 0 1\r\n3\r\nget k\r\n",
        b"replace k 5 0 1\r\n4\r\nget k\r\n",
    ],
    "append and prepend": [
        b"append k 0 0 1\r\n1\r\nprepend k 0 0 1\r\n1\r\nset k 3 0 1\r\nb\r\n",
        b"append k 9 0 1\r\nc\r\nprepend k 9 0 1\r\na\r\nget k\r\n",
    ],
    "cas": [
        b"cas k 0 0 1 5\r\nx\r\nset k 0 0 1\r\n1\r\ngets k\r\n",
        b"cas k 0 0 1 <0>\r\n2\r\ncas k 0 0 1 <0>\r\n3\r\ngets k\r\n",
        b"cas k 0 0 1 0\r\n3\r\ncas k 0 0 1 x\r\ncas k 0 0 1\r\ncas k 0 0 1 <1> noreply\r\n4\r\n",
        b"get k\r\n",
    ],
    "touching keeps the token": [
        b"set k 0 0 1\r\n1\r\ngets k\r\ntouch k 100\r\ngets k\r\ngats 100 k\r\nincr k 1\r\ngets k\r\n"
    ],
    "delete": [
        b"delete k\r\nset k 0 0 1\r\n1\r\ndelete k\r\nget k\r\nset k 0 0 1\r\n1\r\ndelete k 0\r\n",
        b"delete k 5\r\ndelete k 0 noreply\r\ndelete k noreply\r\ndelete k x noreply\r\n",
        b"delete\r\ndelete a b c d\r\ndelete k 0 x\r\ndelete k noreply 0\r\n",
        b"delete " + b"k" * 251 + b"\r\ndelete " + b"k" * 250 + b"\r\n",
    ],
    # ---- numbers
    "incr and decr": [
        b"incr n 1\r\ndecr n 1\r\nset n 5 0 2\r\n10\r\nincr n 5\r\ndecr n 6\r\nincr n 995\r\n",
        b"incr n 1\r\ndecr n 99999\r\nincr n 18446744073709551615\r\nincr n 1\r\n",
        b"incr n 18446744073709551616\r\nincr n -1\r\nincr n x\r\nincr n\r\nincr n 1 2 3\r\n",
        b"set n 0 0 1\r\n1\r\nincr n 5 noreply\r\nget n\r\nincr n 1 x\r\n",
    ],
    "no numbers": [
        b"set n 0 0 1\r\nx\r\nincr n 1\r\ndecr n 1\r\nset n 0 0 0\r\n\r\nincr n 1\r\n",
        b"set n 0 0 20\r\n18446744073709551616\r\nincr n 1\r\nset n 0 0 2\r\n-1\r\nincr n 1\r\n",
        b"set n 0 0 2\r\n1x\r\nincr n 1\r\nset n 0 0 2\r\n07\r\nincr n 1\r\n",
    ],
    # ---- times
    "touch and gat": [
        b"touch k 10\r\ngat 10 k\r\nset k 1 0 1\r\nx\r\ntouch k 10\r\nmg k t\r\ngat 50 k z k\r\n",
        b"mg k t\r\ngats 0 k\r\nmg k t\r\ntouch k x\r\ngat x k\r\ngat 1\r\ngat\r\ntouch k\r\n",
        b"touch k 5 noreply\r\nmg k t\r\ntouch k 1 2 3\r\n",
        b"gat 3 " + b"k" * 251 + b"\r\n",
    ],
    "times that have passed": [
        b"set k 0 -1 1\r\nx\r\nget k\r\nset k 0 0 1\r\nx\r\ntouch k -1\r\nget k\r\n",
        b"set k 0 0 1\r\nx\r\ngat -1 k\r\nget k\r\nset k 0 1000000000 1\r\nx\r\nget k\r\n",
        b"set k 0 4294967295 1\r\nx\r\nget k\r\nset k 0 2592001 1\r\nx\r\nget k\r\n",
        b"add k 0 -5 1\r\nx\r\nadd k 0 0 1\r\ny\r\nget k\r\n",
    ],
    "times to come": [
        b"set k 0 2592000 1\r\nx\r\nmg k t\r\nset k 0 100 1\r\nx\r\nmg k t\r\n",
        b"append k 0 500 1\r\ny\r\nmg k t v\r\nset k 0 x 1\r\n",
    ],
    "flush": [
        b"set k 0 0 1\r\nx\r\nflush_all\r\nget k\r\nset k 0 0 1\r\ny\r\nget k\r\n",
        b"flush_all 0\r\nget k\r\nflush_all noreply\r\nflush_all x\r\nflush_all 0 noreply\r\n",
        b"flush_all 1 2 3\r\nset k 0 0 1\r\nx\r\nflush_all -1\r\nget k\r\n",
    ],
    # ---- noreply
    "noreply": [
        b"set k 0 0 1 noreply\r\n1\r\nadd k 0 0 1 noreply\r\n2\r\nget k\r\n",
        b"append k 0 0 1 noreply\r\n3\r\nincr k 1 noreply\r\ntouch k 9 noreply\r\nget k\r\n",
        b"set k 0 0 1 other\r\n1\r\nget k\r\nverbosity 1 noreply\r\nflush_all noreply\r\nget k\r\n",
        b"set k x 0 1 noreply\r\nincr k x noreply\r\nset k 0 0 1 noreply\r\nxx\r\nget k\r\n",
    ],
    # ---- what is wrong
    "no commands": [
        b"\r\n",
        b"\n",
        b" \r\n",
        b"x\r\nxyz\r\nGET k\r\nget\r\ngets\r\nset\r\nset k\r\nset k 0 0\r\nset k 0 0 1 a b\r\n",
        b"add k 0\r\ncas k 0 0 1\r\nincr\r\ntouch\r\nmx k\r\nm\r\nmm\r\n get k\r\n\tget k\r\n",
        b"quitx\r\nversionx\r\nstatsx\r\nverbosity\r\nverbosity x\r\nverbosity 1\r\nverbosity 1 2 3\r\n",
    ],
    "keys too long": [
        b"set " + b"k" * 250 + b" 0 0 1\r\nx\r\nget " + b"k" * 250 + b"\r\n",
        b"set " + b"k" * 251 + b" 0 0 1\r\n",
        b"get " + b"k" * 251 + b"\r\n",
        b"get a " + b"k" * 251 + b" b\r\n",
        b"incr " + b"k" * 251 + b" 1\r\ntouch " + b"k" * 251 + b" 1\r\n",
        b"mg " + b"k" * 251 + b" v\r\nmd " + b"k" * 251 + b"\r\nma " + b"k" * 251 + b"\r\n",
        b"me " + b"k" * 251 + b"\r\nms " + b"k" * 251 + b" 1\r\n",
    ],
    "odd keys": [
        b"set \x01\x02\x7f 0 0 1\r\nx\r\nget \x01\x02\x7f\r\nset \xc3\xa4 0 0 1\r\ny\r\nget \xc3\xa4\r\n",
        b"set \xff\xfe 0 0 1\r\nx\r\nget \xff\xfe\r\nmg \xff\xfe k\r\nget a\tb\r\nset a\tb 0 0 1\r\nx\r\n",
        b"get a\tb\r\nget a\rb\r\n",
    ],
    "nul in a line": [b"get k\0x\r\nset k 0 0 1\0 5\r\nx\r\nget k\r\nver\0sion\r\n"],
    "lines that end bare": [b"set k 0 0 1\nx\r\nget k\nget k\r\r\n", b"version\n\r\n"],
    "bad lengths": [
        b"set k 0 0 -1\r\n",
        b"set k 0 0 x\r\nset k 0 0 2147483647\r\nset k 0 0 99999999999999999999\r\n",
        b"ms k -1\r\nms k x\r\nms k 2147483647\r\n",
    ],
    "bad data": [
        b"set k 0 0 1\r\nxyz\r\nget k\r\n",
        b"set k 0 0 3\r\nx\r\n\r\nget k\r\nset k 0 0 2\r\nabcd\r\n",
        b"ms k 1 q\r\nxyz\r\nms k 2 O1\r\nabcd\r\n",
    ],
    "too large": [
        b"set k 0 0 1\r\nx\r\nset k 0 0 1048576\r\n" + b"v" * 1048576 + b"\r\nget k\r\n",
        b"set k 0 0 1\r\nx\r\nadd k 0 0 2000000\r\n" + b"v" * 2000000 + b"\r\nget k\r\n",
        b"append k 0 0 2000000 noreply\r\n" + b"v" * 2000000 + b"\r\nget k\r\n",
        b"ms k 2000000 q ME\r\n" + b"v" * 2000000 + b"\r\nget k\r\n",
    ],
    "about as large as may be": [
        b"set k 0 0 %d\r\n" % BIG + b"v" * BIG + b"\r\n",
        *[
            b"set k 0 0 %d\r\n" % n + b"v" * n + b"\r\nmg k s\r\n"
            for n in (1048513, 1048514, 1048515, 1048516, 1048517, 1048518)
        ],
        b"set k 1 0 1048513\r\n"
        + b"v" * 1048513
        + b"\r\nset k 1 0 1048512\r\n"
        + b"v" * 1048512
        + b"\r\n",
    ],
    "a long line is hung up on": [b"set k 0 0 1\r\nx\r\n", b"x" * 4000],
    "spaces before a long get": [
        b"set a 0 0 1\r\nx\r\n",
        b" " * 50 + b"get " + b"key " * 900 + b"a\r\n",
    ],
    "a browser": [b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"],
    "a browser that gets": [b"GET / HTTP/1.1\r\n"],
    "quit": [b"set k 0 0 1\r\nx\r\n", b"get k\r\nquit\r\nget k\r\n"],
    "left in the middle": [b"get k\r\n", b"set k 0 0 10\r\nabc"],
    "left in a line": [b"get k\r\nget"],
    "server": [
        b"version\r\n",
        b"version x\r\nshutdown\r\nshutdown graceful\r\nmn\r\nmn x\r\n",
        b"stats sizes\r\nstats foo\r\nstats detail\r\nstats detail on\r\nstats detail off\r\n",
        b"stats reset\r\nstats detail x y\r\n",
    ],
    # ---- meta get
    "mg": [
        b"mg k\r\nmg k v\r\nset k 5 100 3\r\nabc\r\nmg k\r\nmg k v\r\nmg k s v f t\r\n",
        b"mg k t f s v c k O123 q\r\nmg k k Oabc\r\nmg none k Oabc s\r\nmg none q\r\nmg none k q\r\n",
        b"mg\r\nmg k z\r\nmg k v v\r\nmg k O" + b"1" * 32 + b"\r\nmg k O" + b"1" * 31 + b"\r\n",
        b"mg k s s\r\nmg k q v\r\nmg k \xff\r\nmg k " + b" ".join([b"s"] * 30) + b"\r\n",
    ],
    "mg looks before": [
        b"ms k 1\r\nx\r\nmg k h u\r\nmg k h\r\nmg k h\r\nmg k h l u\r\n",
        b"ms k 1\r\nx\r\nget k\r\nmg k h\r\nmg k v h t l\r\n",
    ],
    "mg touches": [
        b"ms k 1 T50\r\nx\r\nmg k t T90 t\r\nmg k t\r\nmg k T-1 v\r\nmg k v\r\nmg k Tx\r\n"
    ],
    "mg vivifies": [
        b"mg k N30 v t f c\r\nmg k N30 v t\r\nmg k v t s\r\nget k\r\nms k 2\r\nhi\r\nmg k N30 v t\r\n",
        b"mg i t N30 s\r\nmg i t\r\nmg j N30 T60 t k O7\r\nmg z Nx\r\nmg w N-1 v\r\nmg w v\r\n",
    ],
    "mg vivifies, cas": [
        b"mg k N30 c\r\n",
        b"ms k 1 C<0> T60\r\nx\r\nms k 1 C<0>\r\ny\r\nmg k v t\r\n",
    ],
    "mg vivified is there": [
        b"mg k N30\r\nadd k 0 0 1\r\nx\r\nreplace k 0 0 1\r\ny\r\nmg k v\r\nmg m N30\r\n",
        b"append m 0 0 1\r\nz\r\nmg m v\r\nmg n N30\r\nincr n 1\r\ndelete n\r\nmg n\r\n",
    ],
    "mg renews": [
        b"ms k 1 T100\r\nx\r\nmg k R30 t\r\nmg k R200 c\r\nmg k R200 c\r\nmg k v\r\nget k\r\n",
        b"ms k 1 T100\r\ny\r\nmg k T300 R200\r\nmg k R400\r\nms n 1\r\nx\r\nmg n R30\r\nmg n Rx\r\n",
        b"ms k 1 T100\r\ny\r\nmg k R100\r\nmg k R0\r\nmg k R-1\r\n",
    ],
    "mg renews what is counted and touched": [
        b"ms k 1 T100\r\n5\r\nmg k R200\r\n",
        b"incr k 1\r\n",
        b"mg k R200 v\r\n",
        b"touch k 500\r\nmg k R600\r\n",
        b"gat 100 k\r\nmg k R200 v\r\n",
        b"append k 0 0 1\r\n7\r\nmg k R200 v\r\n",
    ],
    "base64 keys": [
        b"ms Zm9v 3 b\r\nbar\r\nget foo\r\nmg Zm9v b v k\r\nmg foo v k\r\nmg Zm8= b k\r\n",
        b"ms Zg== 1 b k\r\nx\r\nmg f k\r\nmd Zg== b k\r\nma Zg== b k N0\r\nmg f v k\r\nmg ! b\r\n",
        b"mg Zm9 b\r\nmd Zm9 b\r\nma Zm9 b\r\nms Zm9 1 b\r\nx\r\nme Zm9v b\r\nme Zm9 b\r\nmg Z=== b\r\n",
        b"ms AAECAyAKDQ== 2 b\r\nhi\r\nmg AAECAyAKDQ== b k v\r\nset foo 0 0 1\r\nx\r\nmg Zm9v b k\r\n",
    ],
    "me": [
        b"me k\r\nset k 0 100 3\r\nabc\r\nme k\r\nget k\r\nme k\r\nme\r\nset n 0 0 1\r\nx\r\nme n\r\n"
    ],
    # ---- meta set
    "ms": [
        b"ms k 2\r\nhi\r\nms k 2 F7 T90 O9 k\r\nho\r\nmg k f t v\r\nms k 2 q\r\nhu\r\nmg k v f t\r\n",
        b"ms\r\nms k\r\nms k 2 z\r\nhi\r\nms k 2 F7 F8\r\nhi\r\nms k 1 Fx\r\nx\r\nms k 1 Tx\r\nx\r\n",
        b"ms k 1 O"
        + b"1" * 40
        + b"\r\nx\r\nms k 1 MQ\r\nx\r\nms k 1 M\r\nx\r\nms k 1 MSS\r\nx\r\n",
        b"ms k 1 T-1\r\nx\r\nmg k\r\nms k 0\r\n\r\nmg k s v\r\nms k 2 c\r\nhi\r\nmg k c\r\n",
    ],
    "ms modes": [
        b"ms k 1 MR\r\nx\r\nms k 1 MA\r\nx\r\nms k 1 MP\r\nx\r\nms k 1 ME F3\r\nb\r\nms k 1 ME\r\nz\r\n",
        b"ms k 1 MA\r\nc\r\nms k 1 MP\r\na\r\nmg k v f\r\nms k 1 MR F4\r\nr\r\nms k 1 MS\r\ns\r\nmg k v f\r\n",
        b"ms k 1 ME q O1\r\nz\r\nms j 1 MR q O2 k\r\nz\r\nms k 1 MS q O3\r\nt\r\nmg k v\r\n",
    ],
    "ms with a token": [
        b"ms k 1 C5\r\nx\r\nms k 1 c\r\nx\r\n",
        b"ms k 1 C<0> c\r\ny\r\nms k 1 C<0>\r\nz\r\n",
        b"ms k 1 C<1> MR\r\nw\r\nms k 1 MA C<1>\r\nv\r\n",
        b"mg k c v\r\n",
        b"ms k 1 MA C<2>\r\n1\r\nms k 1 MP C0\r\n0\r\nms k 1 C0\r\nx\r\nms k 1 Cx\r\nx\r\nmg k v\r\n",
        b"ms k 1 ME C5\r\nx\r\nms j 1 ME C5\r\nx\r\nms i 1 C0\r\nx\r\n",
    ],
    # ---- stale
    "md marks as stale": [
        b"ms k 3 T100 F5\r\nabc\r\nmd k I T30\r\nmg k v t f\r\nmg k v t\r\nget k\r\n",
        b"ms k 2\r\nhi\r\nmg k v\r\nmd none I\r\nmd k I q\r\nmg k s\r\nmg k s\r\n",
        b"md k I\r\nmg k s\r\nmg k N30 R30 s\r\n",
    ],
    "stale and renewed": [
        b"ms k 1 T100 c\r\nx\r\n",
        b"md k I\r\nms k 1 C<0>\r\ny\r\nms k 1 C<0> I\r\nz\r\nmg k v t\r\nmg k v c\r\n",
        b"ms k 1 C<1>\r\nw\r\nmg k v\r\n",
    ],
    "stale and won": [
        b"ms k 1 T100 c\r\nx\r\n",
        b"md k I\r\nmg k c\r\n",
        b"md k I\r\nmg k c\r\nms k 1 C<1> I\r\nz\r\nmg k v t\r\nmg k c\r\n",
        b"ms k 1 C<3>\r\nw\r\nmg k v t\r\n",
    ],
    "stale, changed by others": [
        b"ms k 1\r\n5\r\nmd k I\r\nappend k 0 0 1\r\n6\r\nmg k v\r\nmd k I\r\ntouch k 100\r\nmg k v t\r\n",
        b"ms n 2\r\n10\r\nmd n I\r\nincr n 1\r\nmg n v\r\nset n 0 0 1\r\n7\r\nmg n v\r\n",
    ],
    # ---- meta delete
    "md": [
        b"md k\r\nms k 1\r\nx\r\nmd k\r\nmg k\r\nmd k k O1\r\nmd k q\r\nms k 1 c\r\nx\r\n",
        b"md k C1\r\nmd k C<0> q\r\nmg k\r\nms k 1\r\nx\r\nmd k C0\r\nmd k C0 O3 k q\r\nmd k Cx\r\n",
        b"md\r\nmd k z\r\nmd k q q\r\nmd k O" + b"1" * 40 + b"\r\nmd k T10\r\nmg k\r\n",
        b"ms k 1\r\nx\r\nmd k q k O1\r\nmg k\r\n",
    ],
    # ---- meta arithmetic
    "ma": [
        b"ma n\r\nma n k O1\r\nma n q\r\nma n N0\r\nma n v\r\nma n D5 v\r\nma n MD v\r\nma n M- D9 v\r\n",
        b"ma n MI v\r\nma n M+ v\r\nma n Mx\r\nma n M\r\nma n Dx\r\nma n Jx\r\nma n z\r\nma\r\n",
        b"ma m N90 J13 v t\r\nma m v t c k O3\r\nma m q\r\nma m v q\r\nma m T50 t v\r\nma m t\r\n",
        b"ma m D18446744073709551615 v\r\nma m D-1\r\nma m D18446744073709551616\r\nmg m v\r\n",
        b"set x 0 0 1\r\nx\r\nma x\r\nma x q\r\nma z N0 q k\r\nma z O" + b"1" * 40 + b"\r\n",
    ],
    "ma with a token": [
        b"ma n N0 J5 c\r\n",
        b"ma n C<0> c v\r\nma n C<0> k\r\nma n C5 q\r\n",
        b"ma n C<1> D2 v\r\nma none C5\r\nma n C0 v\r\n",
        b"set n 0 0 0\r\n\r\nma n C77777777\r\nset n 0 0 1\r\nx\r\nma n C77777777\r\n",
    ],
    "numbers that are made": [
        b"ma n N0 J7 v\r\nincr n 1\r\nget n\r\nma n N0 J7 v\r\nma m N60 MD D3 J10 v t\r\nma m MD D3 v\r\n"
    ],
    "counting what is text": [b"set n 0 0 3\r\n12 \r\nincr n 1\r\nma n v\r\n"],
    # ---- all together
    "one key in many ways": [
        b"set k 1 0 1\r\n1\r\nappend k 0 0 1\r\n2\r\nincr k 30\r\nprepend k 0 0 1\r\n9\r\nget k\r\n",
        b"mg k v f s\r\ntouch k 60\r\nmg k t\r\nreplace k 2 0 2\r\n10\r\nmg k t f v\r\ndelete k\r\n",
        b"gets k\r\nadd k 3 90 1\r\n5\r\nma k v t\r\nmd k I\r\nmg k v t\r\n",
        b"set k 0 0 1\r\nx\r\nmg k v t\r\n",
    ],
    "errors do not end a conversation": [
        b"foo\r\nset k 0 0 1\r\nx\r\nset k 0 0 x\r\nget k\r\nincr k 1\r\nget k\r\nmg k !\r\nget k\r\n"
    ],
    "words beyond the last": [
        b"version " + b"x " * 40 + b"\r\nset k 0 0 1 " + b"x " * 30 + b"\r\n",
        b"flush_all " + b"1 " * 30 + b"\r\nmn " + b"x " * 40 + b"\r\nmd k " + b"q " * 30 + b"\r\n",
    ],
    "memory that is not its own": [
        b"watch\r\nstats cachedump\r\nstats cachedump 1 x\r\nstats cachedump 64 1\r\n",
        b"stats cachedump 7 0\r\n",
    ],
    # ---- pipelines
    "quiet pipeline": [
        b"".join(b"mg k%d v q k\r\n" % i for i in range(50)) + b"mn\r\n",
        b"".join(b"ms k%d 1 q\r\nx\r\n" % i for i in range(50)) + b"mn\r\n",
        b"".join(b"mg k%d v q k\r\n" % i for i in range(60)) + b"mn\r\n",
        b"".join(b"md k%d q\r\n" % i for i in range(60)) + b"mn\r\n",
    ],
    "pipeline": [
        b"".join(b"set k%d %d 0 3\r\n%03d\r\n" % (i, i, i) for i in range(500)),
        b"".join(b"get k%d\r\n" % i for i in range(600)),
        b"".join(b"gets k%d k%d\r\nincr k%d 7\r\nbad\r\n" % (i, i + 1, i) for i in range(200)),
    ],
}
