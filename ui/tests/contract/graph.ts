// Answers of the graph API, written by the tests of crates/graph (UPDATE_GOLDEN=1). Checked by tsc.
import type { Edge, Failure, Graph, GraphQuery, GraphType, Health, LogLine, Node, NodeKind, Problem, Series, ShareOf, Status, Traffic } from "../../src/api/types";

export const status: Required<Status> = {
  "version": "1",
  "cluster": "Kubernetes",
  "source": "prometheus",
  "now": 1800000010000,
  "oldest": 1800000000000,
  "step": 5000,
  "user": "jane",
  "proxies": 2,
  "store": {
    "bytes": 0,
    "limit": 1048576,
    "edges": 3,
    "edgesDropped": 0
  },
  "notices": [
    "1 series of Prometheus found no room"
  ]
};

export const graph: Required<Graph> = {
  "apiVersion": "graph.lateen.io/v1",
  "type": "workload",
  "at": 1800000010000,
  "duration": 5,
  "nodes": [
    {
      "id": "workload/shop/client",
      "kind": "workload",
      "cluster": "Kubernetes",
      "namespace": "shop",
      "name": "client",
      "workload": "client",
      "app": "client",
      "version": "v1",
      "principal": "spiffe://cluster.local/ns/shop/sa/a",
      "health": {
        "state": "failing",
        "reasons": [
          "100% of 2 connections failed, most with UF",
          "100% of 2 requests failed, most with UF",
          "100% of 2 gRPC requests failed, most with UF"
        ]
      },
      "in": {},
      "out": {
        "tcp": {
          "sent": 2.0,
          "received": 4.0,
          "opened": 0.4,
          "closed": 0.4,
          "failed": 0.4,
          "active": 0,
          "flags": {
            "UF": 0.4
          }
        },
        "http": {
          "requests": 0.4,
          "errorShare": 1.0,
          "latency": {
            "p50": 1.3542555469368929,
            "p95": 1.3542555469368929,
            "p99": 1.3542555469368929
          },
          "requestBytes": 2.0,
          "responseBytes": 4.0,
          "codes": {
            "503": 0.4
          },
          "flags": {
            "UF": 0.4
          }
        },
        "grpc": {
          "requests": 0.4,
          "errorShare": 1.0,
          "latency": {
            "p50": 1.3542555469368929,
            "p95": 1.3542555469368929,
            "p99": 1.3542555469368929
          },
          "requestBytes": 2.0,
          "responseBytes": 4.0,
          "codes": {
            "14": 0.4
          },
          "flags": {
            "UF": 0.4
          },
          "requestMessages": 0.6,
          "responseMessages": 0.8
        }
      },
      "badges": []
    },
    {
      "id": "workload/shop/server",
      "kind": "workload",
      "cluster": "Kubernetes",
      "namespace": "shop",
      "name": "server",
      "workload": "server",
      "app": "server",
      "version": "v1",
      "principal": "spiffe://cluster.local/ns/shop/sa/a",
      "health": {
        "state": "failing",
        "reasons": [
          "100% of 2 connections failed, most with UF",
          "100% of 2 requests failed, most with UF",
          "100% of 2 gRPC requests failed, most with UF"
        ]
      },
      "in": {
        "tcp": {
          "sent": 2.0,
          "received": 4.0,
          "opened": 0.4,
          "closed": 0.4,
          "failed": 0.4,
          "active": 0,
          "flags": {
            "UF": 0.4
          }
        },
        "http": {
          "requests": 0.4,
          "errorShare": 1.0,
          "latency": {
            "p50": 1.3542555469368929,
            "p95": 1.3542555469368929,
            "p99": 1.3542555469368929
          },
          "requestBytes": 2.0,
          "responseBytes": 4.0,
          "codes": {
            "503": 0.4
          },
          "flags": {
            "UF": 0.4
          }
        },
        "grpc": {
          "requests": 0.4,
          "errorShare": 1.0,
          "latency": {
            "p50": 1.3542555469368929,
            "p95": 1.3542555469368929,
            "p99": 1.3542555469368929
          },
          "requestBytes": 2.0,
          "responseBytes": 4.0,
          "codes": {
            "14": 0.4
          },
          "flags": {
            "UF": 0.4
          },
          "requestMessages": 0.6,
          "responseMessages": 0.8
        }
      },
      "out": {},
      "badges": []
    },
    {
      "id": "service/shop/s",
      "kind": "service",
      "namespace": "shop",
      "name": "s",
      "service": "s.shop.svc.cluster.local",
      "health": {
        "state": "failing",
        "reasons": [
          "100% of 2 connections failed, most with UF",
          "100% of 2 requests failed, most with UF",
          "100% of 2 gRPC requests failed, most with UF"
        ]
      },
      "in": {
        "tcp": {
          "sent": 2.0,
          "received": 4.0,
          "opened": 0.4,
          "closed": 0.4,
          "failed": 0.4,
          "active": 0,
          "flags": {
            "UF": 0.4
          }
        },
        "http": {
          "requests": 0.4,
          "errorShare": 1.0,
          "latency": {
            "p50": 1.3542555469368929,
            "p95": 1.3542555469368929,
            "p99": 1.3542555469368929
          },
          "requestBytes": 2.0,
          "responseBytes": 4.0,
          "codes": {
            "503": 0.4
          },
          "flags": {
            "UF": 0.4
          }
        },
        "grpc": {
          "requests": 0.4,
          "errorShare": 1.0,
          "latency": {
            "p50": 1.3542555469368929,
            "p95": 1.3542555469368929,
            "p99": 1.3542555469368929
          },
          "requestBytes": 2.0,
          "responseBytes": 4.0,
          "codes": {
            "14": 0.4
          },
          "flags": {
            "UF": 0.4
          },
          "requestMessages": 0.6,
          "responseMessages": 0.8
        }
      },
      "out": {
        "tcp": {
          "sent": 2.0,
          "received": 4.0,
          "opened": 0.4,
          "closed": 0.4,
          "failed": 0.4,
          "active": 0,
          "flags": {
            "UF": 0.4
          }
        },
        "http": {
          "requests": 0.4,
          "errorShare": 1.0,
          "latency": {
            "p50": 1.3542555469368929,
            "p95": 1.3542555469368929,
            "p99": 1.3542555469368929
          },
          "requestBytes": 2.0,
          "responseBytes": 4.0,
          "codes": {
            "503": 0.4
          },
          "flags": {
            "UF": 0.4
          }
        },
        "grpc": {
          "requests": 0.4,
          "errorShare": 1.0,
          "latency": {
            "p50": 1.3542555469368929,
            "p95": 1.3542555469368929,
            "p99": 1.3542555469368929
          },
          "requestBytes": 2.0,
          "responseBytes": 4.0,
          "codes": {
            "14": 0.4
          },
          "flags": {
            "UF": 0.4
          },
          "requestMessages": 0.6,
          "responseMessages": 0.8
        }
      },
      "badges": []
    }
  ],
  "edges": [
    {
      "id": "workload/shop/client>service/shop/s#tcp",
      "source": "workload/shop/client",
      "target": "service/shop/s",
      "protocol": "tcp",
      "service": "s.shop.svc.cluster.local",
      "mtls": "none",
      "traffic": {
        "tcp": {
          "sent": 2.0,
          "received": 4.0,
          "opened": 0.4,
          "closed": 0.4,
          "failed": 0.4,
          "active": 0,
          "flags": {
            "UF": 0.4
          }
        }
      },
      "share": 1.0,
      "shareOf": "opened",
      "health": {
        "state": "failing",
        "reasons": [
          "100% of 2 connections failed, most with UF"
        ]
      }
    },
    {
      "id": "workload/shop/client>service/shop/s#http",
      "source": "workload/shop/client",
      "target": "service/shop/s",
      "protocol": "http",
      "service": "s.shop.svc.cluster.local",
      "mtls": "none",
      "traffic": {
        "http": {
          "requests": 0.4,
          "errorShare": 1.0,
          "latency": {
            "p50": 1.3542555469368929,
            "p95": 1.3542555469368929,
            "p99": 1.3542555469368929
          },
          "requestBytes": 2.0,
          "responseBytes": 4.0,
          "codes": {
            "503": 0.4
          },
          "flags": {
            "UF": 0.4
          }
        }
      },
      "share": 0.5,
      "shareOf": "requests",
      "health": {
        "state": "failing",
        "reasons": [
          "100% of 2 requests failed, most with UF"
        ]
      }
    },
    {
      "id": "workload/shop/client>service/shop/s#grpc",
      "source": "workload/shop/client",
      "target": "service/shop/s",
      "protocol": "grpc",
      "service": "s.shop.svc.cluster.local",
      "mtls": "none",
      "traffic": {
        "grpc": {
          "requests": 0.4,
          "errorShare": 1.0,
          "latency": {
            "p50": 1.3542555469368929,
            "p95": 1.3542555469368929,
            "p99": 1.3542555469368929
          },
          "requestBytes": 2.0,
          "responseBytes": 4.0,
          "codes": {
            "14": 0.4
          },
          "flags": {
            "UF": 0.4
          },
          "requestMessages": 0.6,
          "responseMessages": 0.8
        }
      },
      "share": 0.5,
      "shareOf": "requests",
      "health": {
        "state": "failing",
        "reasons": [
          "100% of 2 gRPC requests failed, most with UF"
        ]
      }
    },
    {
      "id": "service/shop/s>workload/shop/server#tcp",
      "source": "service/shop/s",
      "target": "workload/shop/server",
      "protocol": "tcp",
      "service": "s.shop.svc.cluster.local",
      "mtls": "none",
      "traffic": {
        "tcp": {
          "sent": 2.0,
          "received": 4.0,
          "opened": 0.4,
          "closed": 0.4,
          "failed": 0.4,
          "active": 0,
          "flags": {
            "UF": 0.4
          }
        }
      },
      "share": 1.0,
      "shareOf": "opened",
      "health": {
        "state": "failing",
        "reasons": [
          "100% of 2 connections failed, most with UF"
        ]
      }
    },
    {
      "id": "service/shop/s>workload/shop/server#http",
      "source": "service/shop/s",
      "target": "workload/shop/server",
      "protocol": "http",
      "service": "s.shop.svc.cluster.local",
      "mtls": "none",
      "traffic": {
        "http": {
          "requests": 0.4,
          "errorShare": 1.0,
          "latency": {
            "p50": 1.3542555469368929,
            "p95": 1.3542555469368929,
            "p99": 1.3542555469368929
          },
          "requestBytes": 2.0,
          "responseBytes": 4.0,
          "codes": {
            "503": 0.4
          },
          "flags": {
            "UF": 0.4
          }
        }
      },
      "share": 0.5,
      "shareOf": "requests",
      "health": {
        "state": "failing",
        "reasons": [
          "100% of 2 requests failed, most with UF"
        ]
      }
    },
    {
      "id": "service/shop/s>workload/shop/server#grpc",
      "source": "service/shop/s",
      "target": "workload/shop/server",
      "protocol": "grpc",
      "service": "s.shop.svc.cluster.local",
      "mtls": "none",
      "traffic": {
        "grpc": {
          "requests": 0.4,
          "errorShare": 1.0,
          "latency": {
            "p50": 1.3542555469368929,
            "p95": 1.3542555469368929,
            "p99": 1.3542555469368929
          },
          "requestBytes": 2.0,
          "responseBytes": 4.0,
          "codes": {
            "14": 0.4
          },
          "flags": {
            "UF": 0.4
          },
          "requestMessages": 0.6,
          "responseMessages": 0.8
        }
      },
      "share": 0.5,
      "shareOf": "requests",
      "health": {
        "state": "failing",
        "reasons": [
          "100% of 2 gRPC requests failed, most with UF"
        ]
      }
    }
  ],
  "notices": [
    "1 series of Prometheus found no room"
  ]
};

export const edge: Required<Edge> = {
  "id": "workload/shop/client>service/shop/s#tcp",
  "source": "workload/shop/client",
  "target": "service/shop/s",
  "protocol": "tcp",
  "service": "s.shop.svc.cluster.local",
  "mtls": "none",
  "traffic": {
    "tcp": {
      "sent": 2.0,
      "received": 4.0,
      "opened": 0.4,
      "closed": 0.4,
      "failed": 0.4,
      "active": 0,
      "flags": {
        "UF": 0.4
      }
    }
  },
  "share": 1.0,
  "shareOf": "opened",
  "health": {
    "state": "failing",
    "reasons": [
      "100% of 2 connections failed, most with UF"
    ]
  }
};

export const node: Required<Node> = {
  "id": "app/shop/client/v1",
  "kind": "app",
  "cluster": "Kubernetes",
  "namespace": "shop",
  "name": "client",
  "workload": "server",
  "app": "client",
  "version": "v1",
  "service": "s.shop.svc.cluster.local",
  "principal": "spiffe://cluster.local/ns/shop/sa/a",
  "gateway": "ingress",
  "outOfMesh": true,
  "box": "client",
  "health": {
    "state": "failing",
    "reasons": [
      "100% of 2 connections failed, most with UF",
      "100% of 2 requests failed, most with UF",
      "100% of 2 gRPC requests failed, most with UF"
    ]
  },
  "in": {},
  "out": {
    "tcp": {
      "sent": 2.0,
      "received": 4.0,
      "opened": 0.4,
      "closed": 0.4,
      "failed": 0.4,
      "active": 0,
      "flags": {
        "UF": 0.4
      }
    },
    "http": {
      "requests": 0.4,
      "errorShare": 1.0,
      "latency": {
        "p50": 1.3542555469368927,
        "p95": 1.3542555469368927,
        "p99": 1.3542555469368927
      },
      "requestBytes": 2.0,
      "responseBytes": 4.0,
      "codes": {
        "503": 0.4
      },
      "flags": {
        "UF": 0.4
      }
    },
    "grpc": {
      "requests": 0.4,
      "errorShare": 1.0,
      "latency": {
        "p50": 1.3542555469368927,
        "p95": 1.3542555469368927,
        "p99": 1.3542555469368927
      },
      "requestBytes": 2.0,
      "responseBytes": 4.0,
      "codes": {
        "14": 0.4
      },
      "flags": {
        "UF": 0.4
      },
      "requestMessages": 0.6,
      "responseMessages": 0.8
    }
  },
  "issues": {
    "errors": 1,
    "warnings": 2
  },
  "badges": [
    "virtualService"
  ]
};

export const traffic: Required<Traffic> = {
  "tcp": {
    "sent": 2.0,
    "received": 4.0,
    "opened": 0.4,
    "closed": 0.4,
    "failed": 0.4,
    "active": 0,
    "flags": {
      "UF": 0.4
    }
  },
  "http": {
    "requests": 0.4,
    "errorShare": 1.0,
    "latency": {
      "p50": 1.3542555469368927,
      "p95": 1.3542555469368927,
      "p99": 1.3542555469368927
    },
    "requestBytes": 2.0,
    "responseBytes": 4.0,
    "codes": {
      "503": 0.4
    },
    "flags": {
      "UF": 0.4
    }
  },
  "grpc": {
    "requests": 0.4,
    "errorShare": 1.0,
    "latency": {
      "p50": 1.3542555469368927,
      "p95": 1.3542555469368927,
      "p99": 1.3542555469368927
    },
    "requestBytes": 2.0,
    "responseBytes": 4.0,
    "codes": {
      "14": 0.4
    },
    "flags": {
      "UF": 0.4
    },
    "requestMessages": 0.6,
    "responseMessages": 0.8
  }
};

export const grpc: Required<NonNullable<Traffic["grpc"]>> = {
  "requests": 0.4,
  "errorShare": 1.0,
  "latency": {
    "p50": 1.3542555469368927,
    "p95": 1.3542555469368927,
    "p99": 1.3542555469368927
  },
  "requestBytes": 2.0,
  "responseBytes": 4.0,
  "codes": {
    "14": 0.4
  },
  "flags": {
    "UF": 0.4
  },
  "requestMessages": 0.6,
  "responseMessages": 0.8
};

export const health: Required<Health> = {
  "state": "failing",
  "reasons": [
    "all of it failed"
  ]
};

export const series: Required<Series> = {
  "id": "mesh",
  "start": 1800000000000,
  "step": 5000,
  "inbound": {},
  "outbound": {
    "grpc.errors": [
      0.4
    ],
    "grpc.p50": [
      1.3542555469368929
    ],
    "grpc.p95": [
      1.3542555469368929
    ],
    "grpc.p99": [
      1.3542555469368929
    ],
    "grpc.requests": [
      0.4
    ],
    "http.errors": [
      0.4
    ],
    "http.p50": [
      1.3542555469368929
    ],
    "http.p95": [
      1.3542555469368929
    ],
    "http.p99": [
      1.3542555469368929
    ],
    "http.requests": [
      0.4
    ],
    "tcp.active": [
      0.0
    ],
    "tcp.failed": [
      0.4
    ],
    "tcp.opened": [
      0.4
    ],
    "tcp.received": [
      4.0
    ],
    "tcp.sent": [
      2.0
    ]
  }
};

export const failures: { failures: (Failure & Pick<Required<Failure>, "serverName" | "remedy">)[] } = {
  "failures": [
    {
      "time": 1800000000000,
      "source": "workload/shop/client",
      "target": "outside//outside the mesh",
      "protocol": "tcp",
      "proxy": "client-1.shop",
      "destination": "10.96.0.9:80",
      "serverName": "s.example.com",
      "flags": "UO",
      "bytesReceived": 0,
      "bytesSent": 0,
      "durationMs": 0.0,
      "summary": "10.96.0.9:80 has as many connections as are allowed",
      "steps": [
        {
          "what": "shop/client () connected to 10.96.0.9:80"
        },
        {
          "what": "listener  of the client's proxy, client-1.shop, took it",
          "object": {
            "kind": "VirtualService",
            "group": "networking.istio.io",
            "namespace": "shop",
            "name": "s"
          },
          "field": "spec.tcp"
        },
        {
          "what": "it was to go to outbound|80||s.shop.svc.cluster.local",
          "object": {
            "kind": "DestinationRule",
            "group": "networking.istio.io",
            "namespace": "shop",
            "name": "s"
          },
          "field": "spec.trafficPolicy"
        },
        {
          "what": "10.0.0.2:8080 of 10.96.0.9:80 was chosen"
        },
        {
          "what": "10.96.0.9:80 has as many connections as are allowed",
          "failed": true
        }
      ],
      "remedy": "raise trafficPolicy.connectionPool.tcp.maxConnections in its DestinationRule"
    }
  ]
};

export const logs: { lines: LogLine[] } = {
  "lines": [
    {
      "time": 1800000000000,
      "from": "client-1.shop",
      "text": "[2027-01-15T08:00:00.000Z] \"- - -\" 0 UO - - \"-\" 0 0 0 - \"-\" \"-\" \"-\" \"-\" \"10.0.0.2:8080\" outbound|80||s.shop.svc.cluster.local - 10.96.0.9:80 - s.example.com -"
    }
  ]
};

export const problem: Problem = {
  "status": 400,
  "message": "type \"pod\" is not known: use workload, app, versionedApp or service"
};

export const parameters: Record<keyof GraphQuery, true> = {
  "type": true,
  "duration": true,
  "at": true,
  "services": true,
  "idle": true,
  "namespaces": true
};

export const graphTypes: Record<GraphType, true> = {
  "workload": true,
  "app": true,
  "versionedApp": true,
  "service": true
};

export const sharesOf: Record<ShareOf, true> = {
  "requests": true,
  "opened": true,
  "open": true
};

export const words: Record<"number" | "bytes" | "percent", [number, string][]> = {
  "number": [
    [
      0.0,
      "0"
    ],
    [
      0.004,
      "<0.01"
    ],
    [
      0.33,
      "0.33"
    ],
    [
      0.995,
      "0.99"
    ],
    [
      1.0,
      "1"
    ],
    [
      1.67,
      "1.7"
    ],
    [
      9.96,
      "10"
    ],
    [
      42.0,
      "42"
    ],
    [
      99.94,
      "99.9"
    ],
    [
      99.96,
      "100"
    ],
    [
      140.0,
      "140"
    ],
    [
      999.4,
      "999"
    ],
    [
      999.6,
      "1k"
    ],
    [
      1500.0,
      "1.5k"
    ],
    [
      1200000.0,
      "1.2M"
    ],
    [
      7.1e+16,
      "71000000G"
    ]
  ],
  "bytes": [
    [
      0.0,
      "0 B"
    ],
    [
      0.004,
      "<0.01 B"
    ],
    [
      0.33,
      "0.33 B"
    ],
    [
      0.995,
      "0.99 B"
    ],
    [
      1.0,
      "1 B"
    ],
    [
      1.67,
      "1.7 B"
    ],
    [
      9.96,
      "10 B"
    ],
    [
      42.0,
      "42 B"
    ],
    [
      99.94,
      "99.9 B"
    ],
    [
      99.96,
      "100 B"
    ],
    [
      140.0,
      "140 B"
    ],
    [
      999.4,
      "999 B"
    ],
    [
      999.6,
      "1 kB"
    ],
    [
      1500.0,
      "1.5 kB"
    ],
    [
      1200000.0,
      "1.2 MB"
    ],
    [
      7.1e+16,
      "71 PB"
    ]
  ],
  "percent": [
    [
      0.0,
      "0%"
    ],
    [
      0.0004,
      "<0.1%"
    ],
    [
      0.0014,
      "0.1%"
    ],
    [
      0.0996,
      "10%"
    ],
    [
      0.125,
      "13%"
    ],
    [
      0.2,
      "20%"
    ],
    [
      0.9,
      "90%"
    ],
    [
      0.9995,
      ">99.9%"
    ],
    [
      0.9999,
      ">99.9%"
    ],
    [
      1.0,
      "100%"
    ]
  ]
};

export const nodeKinds: Record<NodeKind, true> = {
  "workload": true,
  "app": true,
  "service": true,
  "serviceEntry": true,
  "outside": true,
  "client": true,
  "blackHole": true
};

export const states: Record<Health["state"], true> = {
  "idle": true,
  "healthy": true,
  "degraded": true,
  "failing": true
};
